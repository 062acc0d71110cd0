"""What the code runs on: command lines, files, progress, devices and hosts, compilation."""
