"""Students as the command line names them."""

import pytest

from experiments.common.students import parse_options
from gift_jax import GiftError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("norm=instance,norm=batch", "give norm twice; give it once"),
        ("norm", "must be name=value"),
    ],
)
def test_options_of_another_form_are_refused(text, message):
    with pytest.raises(GiftError, match=f"^--student-options: options '{text}' {message}"):
        parse_options(text, "--student-options")
    assert parse_options("width=64,norm=instance", "--student-options") == (("norm", "instance"), ("width", 64))
