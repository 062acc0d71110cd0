"""Reports: tables in words, pages, pictures, contact sheets, and which differences are more than noise."""
