"""Random guests: a state, a program, and what happens from outside, biased to what is interesting.

Nothing is known of an architecture but its description. A program is written while the bare machine
runs it: wherever execution comes to what is no instruction, an instruction is put. The same generator serves campaigns
(with a seeded `Random`) and Hypothesis (with the one of `strategies.randoms`).
"""

from random import Random

from refvmm.draft import Draft
from refvmm.repertoire import Context, Repertoire
from refvmm.scenario import Scenario

_LESSONS = 60


class Programs(Repertoire):
    """Makes scenarios for one configuration; learns of its tables as it goes."""

    def scenario(self, random: Random) -> Scenario:
        """A guest; all that is random comes from `random`, and from what was learnt before."""
        return Draft(self, random).scenario()

    def context(self, random: Random) -> Context:
        """A state to begin in, in which no interrupt is pending if that can be had."""
        draft = Draft(self, random)
        draft.prepare()
        draft.calm()
        return Context(draft.state, draft.start)

    def settle(self) -> None:
        """Learn of the tables now, and no more: then scenarios depend on their `Random` only."""
        for number in range(_LESSONS):
            self.scenario(Random(number))
        self.walks.learning = False
