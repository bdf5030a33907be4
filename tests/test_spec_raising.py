"""What is printed of the IR says what the IR says."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reprinted import outcome, reloaded, same_state, writable
from tests.strategies import descriptions, states


@settings(max_examples=1500)
@given(st.data())
def test_printed_bodies_mean_the_same_when_read_again(data: st.DataObject) -> None:
    isa = writable(data.draw(descriptions()))
    state = data.draw(states(isa))
    fields = {"n": data.draw(st.integers(0, 127))}
    choices = data.draw(st.lists(st.integers(0, 2**130), max_size=3))

    again = reloaded(isa)

    expected = outcome(isa, 0, state, fields, 3, choices)
    assert outcome(again, 0, same_state(again, state), fields, 3, choices) == expected
