"""Plans for the attackers of a scene: several starts compared on few rows, the best carried on with more."""

import dataclasses
from collections.abc import Iterator

import torch

from turncoat.planning import starts
from turncoat.planning.descent import Search, search
from turncoat.planning.policy import Policy
from turncoat.planning.scene import FEW, NETWORK_ROWS, ROWS, Scene, View, view

TRIED = 10  # rounds from each start
ROUNDS = 30  # in all


@dataclasses.dataclass
class Planner:
    """A scene's planning, which can be written out and gone on with between any two rounds."""

    scene: Scene
    rounds: int = ROUNDS
    done: int = 0
    state: Search | None = None
    found_from: list[str] = dataclasses.field(default_factory=list)  # each attacker's best start
    # of the same data, model, recipe and attackers: its finished search is taken over
    leader: "Planner | None" = None
    _view: View | None = None

    @property
    def view(self) -> View:
        """How the scene is planned."""
        if self._view is None:
            self._view = view(self.scene)
        return self._view

    def advance(self) -> Iterator[int]:
        """Plan to the end, yielding the number of rounds done after each."""
        if self.leader is not None:
            self.state, self.found_from, self._view = (
                self.leader.state,
                self.leader.found_from,
                self.leader.view,
            )
            self.done = self.rounds
            yield self.done
            return
        tried = min(TRIED, self.rounds)
        if self.done < tried:
            yield from self._try(tried)
        if not self.found_from:
            self._choose()
        many = self.scene.planned(ROWS if self.scene.model.is_linear else NETWORK_ROWS)
        if self.done < self.rounds:
            course, reach = self.view.course(many), self.scene.reach(many)
            assert self.state is not None
            for _ in search(course, reach, self.state, self.rounds - self.done):
                self.done += 1
                yield self.done

    def policy(self) -> Policy:
        """The best plan of every attacker."""
        assert self.state is not None
        ledger = self.state.ledger
        used = [i for i, own in enumerate(ledger.best.any(1).tolist()) if own]
        return Policy(
            model=self.scene.model,
            prior=self.state.prior,
            legs=tuple(ledger.legs[i] for i in used),
            weights=ledger.best[used],
            ends=self.view.timing.ends,
            basis=self.view.basis,
            still=self.view.timing.still,
        )

    def course_of(self, attacker: int) -> tuple[float, ...]:
        """An attacker's objective, as plans are judged, by round; first on few rows, from its best start."""
        assert self.state is not None
        return tuple(row[attacker] for row in self.state.history)

    def _try(self, rounds: int) -> Iterator[int]:
        rows = self.scene.planned(FEW)
        course, reach = self.view.course(rows), self.scene.reach(rows)
        if self.state is None:
            self.state = starts.together(course, reach, self.scene)
        wide = reach.times(len(starts.of_scene(self.scene)))
        for _ in search(course, wide, self.state, rounds - self.done):
            self.done += 1
            yield self.done

    def _choose(self) -> None:
        """Each attacker's best start; its search goes on, judged anew on more rows."""
        assert self.state is not None
        state, names = self.state, starts.of_scene(self.scene)
        judged = state.judged.view(len(names), -1)
        which = judged.min(0).indices
        own = which * judged.shape[1] + torch.arange(judged.shape[1], device=which.device)
        ledger = state.ledger.some(own, self.scene.model.replica_axis)
        ledger.plan, ledger.momentum = ledger.best.clone(), torch.zeros_like(ledger.momentum)
        assert state.scale is not None
        self.state = Search(
            prior=state.prior[:, :, own],
            ledger=ledger,
            step=state.step[own],
            judged=torch.full_like(state.judged[own], torch.inf),
            scale=state.scale[:, own],
            history=[[row[i] for i in own.tolist()] for row in state.history],
        )
        self.found_from = [names[i] for i in which.tolist()]
