"""A study: one active-learning project in one folder, advanced step by step with ask, tell, step and run.

Every step commits its facts and the next position in one transaction; resuming is opening the folder and stepping on.
Knows the order of the steps, not what they do (rounds/), nor where answers come from.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Protocol

from boxwise import rounds
from boxwise.annotation.verdicts import annotation_of, check_labels
from boxwise.boxes import Boxes
from boxwise.config import StudyConfig, differences, parse_config
from boxwise.data import image_store
from boxwise.data.addresses import absolute
from boxwise.data.formats.base import Dataset
from boxwise.data.formats.class_names import check_class_names
from boxwise.errors import StudyError, plural, quoted
from boxwise.records import Annotation, Phase, Proposals, Query, QueryItem, Split, Verdict
from boxwise.registry import settled, with_its_scorer
from boxwise.rounds import Event, RoundContext, settings
from boxwise.rounds.duration import Duration, expected_duration
from boxwise.rounds.ending import End, end_of
from boxwise.store import Begun, LabelState, Review, Store
from boxwise.study.classes import StudyClasses
from boxwise.study.config_file import CONFIG_FILE, DATABASE, as_kept, url_of, without_config, write_config, written
from boxwise.study.findings import FINDINGS, to_keep
from boxwise.study.incoming import News, news_in, take
from boxwise.study.outdated import rounds_to_judge
from boxwise.study.repeating import round_to_repeat
from boxwise.study.shards import inspect_by, round_to_inspect
from boxwise.study.sharing import check_shared
from boxwise.study.upkeep import given_annotations

if TYPE_CHECKING:
    from boxwise.rounds.parts import Shard
    from boxwise.workers.base import Workers

_POLL_SECONDS = 0.5
_UP_TO_TRAIN = (Phase.SELECT, Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN)


class Annotator(Protocol):
    """Whoever answers queries in place: verdicts on one image, of which the model suggests `proposals`, and all seconds they took.

    Its answers are recorded under its attribute `name`, or that of its class where it has none.
    """

    def annotate(self, item: QueryItem, proposals: Proposals | None) -> tuple[Sequence[Verdict], float]: ...


class Study(StudyClasses):
    """Open with `Study.create` or `Study.open`; then `run` until it needs labels, `tell` them, `run` again."""

    def __init__(self, folder: Path, store: Store, config: StudyConfig) -> None:
        super().__init__(folder, store, config)
        image_store.use(config.images)

    @classmethod
    def create(cls, folder: Path | str, dataset: Dataset, *, config: StudyConfig | None = None, simulated: bool = False) -> Study:
        """A new study of `dataset` in `folder`: its images join, its labels are taken as given, its findings are kept.

        simulated: whether it will be run with an oracle, which the score `oracle_loss` needs.
        Raises StudyError when the folder holds a study already, has no image, or the classes are unknown; ConfigError for a bad name.
        """
        folder, config = Path(folder), settled(config or StudyConfig())
        url, config = url_of(folder, config), as_kept(config)
        if not dataset.images:
            first = f"; the first of {plural(len(dataset.findings), 'finding')}: {dataset.findings[0].message}" if dataset.findings else "."
            raise StudyError(f"{folder}: the data set has no usable image{first}")
        if not dataset.classes:
            raise StudyError(f"{folder}: no class names. Give labels to read them from, or --classes cat,dog.")
        check_class_names(dataset.classes)
        rounds.check(config, dataset.classes, val_images=sum(r.split is Split.VAL for r in dataset.images), simulated=simulated)
        cls.check_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "config": config.model_dump(mode="json"),
            "classes": list(dataset.classes),
            "class_ids": list(dataset.class_ids) if dataset.class_ids else None,
            FINDINGS: to_keep(dataset.findings),
            "made_in": str(folder.absolute()),
            "listed": dataset.listed,
        }
        images = [r if (uri := absolute(r.uri)) == r.uri else replace(r, uri=uri) for r in dataset.images]
        own = None if config.store else folder
        store = Store.create(url, facts, images=images, given=given_annotations(dataset, images), own=own)
        write_config(folder, config)  # last: its presence says that the study is whole
        return cls(folder, store, config)

    @staticmethod
    def check_free(folder: Path) -> None:
        """StudyError when there is a study in `folder`."""
        if (folder / CONFIG_FILE).exists():
            raise StudyError(f"{folder}: there is a study already. Continue it with `boxwise run {quoted(folder)}`.")

    @classmethod
    def open(cls, folder: Path | str, *, config: StudyConfig | None = None) -> Study:
        """The study in `folder`. With `config`, StudyError that names every key in which the stored one differs."""
        folder = Path(folder)
        if not (folder / CONFIG_FILE).is_file():
            raise without_config(folder)
        stored_in = written(folder)
        if not stored_in.store and not (database := folder / DATABASE).is_file():
            raise StudyError(f"{database}: expected the study's database, found no such file. See `boxwise repair {quoted(folder)}`.")
        store = Store.open(url_of(folder, stored_in))
        stored = as_kept(parse_config(store.needed("config"), str(folder)))
        if config is not None and as_kept(config := settled(config)) != stored:
            raise StudyError(f"{folder}: opened with another config than its own:\n  " + "\n  ".join(differences(stored, config)))
        return cls(folder, store, stored)

    def ask(self) -> Query:
        """The images that need labels now, most valuable first. Idempotent; does a selection that comes next, as `open_query` does not."""
        if self.position[1] is Phase.SELECT:
            self.step()
        return self.open_query()

    def ensure_asked(self) -> Query:
        """As `ask`, but without the first selection, which needs the detector's first weights: labels are taken without them."""
        return self.open_query() if self.position == (0, Phase.SELECT) else self.ask()

    def tell(
        self,
        image_id: str,
        verdicts: Sequence[Verdict],
        *,
        complete: bool | None = None,
        annotator: str = "human",
        seconds: float | None = None,
        shown: Proposals | None = None,
        round_index: int | None = None,
        key: str | None = None,
        review: Review | None = None,
        replaces: tuple[str, ...] = (),
        classes: Sequence[str] | None = None,
        instead_of: int | None = None,
        begun: Begun | None = None,
    ) -> Annotation:
        """Record what an annotator said of one image; durable when this returns. Any image of the study may be labelled, asked for or not.

        Verdicts on boxes name those of the round's proposals; certain ones without a verdict stay as the model's. complete: whether no
        object is left unlabelled; by default so when the round asked about the whole image, or not about it. seconds: all labour; by
        default the verdicts' and one look at a whole image. round: when the annotator was asked, by default now. shown: what they had then,
        where that is not what the round proposes. key, review, replaces, instead_of, begun: see `Store.annotate`. classes: those of which
        the labels are numbers, by default those of now. BoxwiseError for a bad box or label, ChangedError where the classes are others.
        """
        classes = self.store.classes(classes)
        round_index = self.position[0] if round_index is None else round_index
        items, proposals = self._question(round_index)
        whole = image_id not in items or items[image_id].box_ids is None
        shown = proposals.get(image_id) if shown is None else shown
        complete = (whole or bool(shown and shown.settled and shown.settled.complete)) if complete is None else complete
        annotation = annotation_of(image_id, verdicts, shown, complete=complete, round_index=round_index)
        check_labels(image_id, annotation.boxes, classes)
        self.open_first([image_id])
        labour = whole * self.config.cost.look + sum(verdict.seconds for verdict in verdicts) if seconds is None else seconds
        self.store.annotate(
            annotation,
            verdicts,
            round_index=round_index,
            annotator=annotator,
            seconds=labour,
            key=key,
            review=review,
            replaces=replaces,
            classes=classes,
            instead_of=instead_of,
            begun=begun,
        )
        return annotation

    def tell_all(
        self,
        labels: Mapping[str, Boxes],
        *,
        annotator: str = "human",
        incomplete: Set[str] = frozenset(),
        classes: Sequence[str] | None = None,
    ) -> tuple[int, int]:
        """The final boxes of many images, as another tool gave them back; (images labelled, images that had these very labels already).

        Where the model had proposed boxes, what a person must have done to them is charged; elsewhere each box is charged as drawn.
        incomplete: the images in which objects are known to be missing from the labels. classes: as in `tell`. What another labelled while
        this ran is left as it is, and in neither count; nor are images that went out of use meanwhile.
        """
        news = self.news_in(labels, annotator=annotator, incomplete=incomplete, classes=classes)
        taken = self.take(news, annotator=annotator, incomplete=incomplete)
        return len(taken.acts), taken.known

    def news_in(
        self,
        labels: Mapping[str, Boxes],
        *,
        annotator: str = "human",
        incomplete: Set[str] = frozenset(),
        classes: Sequence[str] | None = None,
        since: LabelState | None = None,
    ) -> News:
        """What `tell_all` would record of them, by what is asked now; changes nothing. since: when reading them began, by default now."""
        today = self.store.classes(classes)
        return news_in(self, labels, annotator=annotator, incomplete=incomplete, classes=today, since=since)

    def take(self, news: News, *, annotator: str = "human", incomplete: Set[str] = frozenset()) -> News:
        """Record what `news_in` found; what of it was recorded, see `incoming.take`: images that were labelled since stay as they are."""
        return take(self, news, annotator=annotator, incomplete=incomplete)

    def step(self, *, oracle: Callable[[str], Boxes] | None = None, on_event: Callable[[Event], None] | None = None) -> Phase:
        """Do one step and return the next one. ANNOTATE stays where it is while images of the query have no labels.

        oracle: ground truth for the `oracle_loss` upper bound; only simulation has it.
        """
        self._reopen()
        return self._advance(oracle, on_event)[1]

    def _advance(
        self, oracle: Callable[[str], Boxes] | None, on_event: Callable[[Event], None] | None
    ) -> tuple[tuple[int, Phase] | None, Phase]:
        """(round and step that were done, None where the study is done or waits for labels; the next step)."""
        if self.position[1] is Phase.DONE:  # which needs no lock to be said
            return None, Phase.DONE
        with self._lock():
            number, phase = self.position  # as of now: another process may have done the step, or gone back
            if phase is Phase.DONE or (phase is Phase.ANNOTATE and self.store.unanswered(number).items):
                return None, phase
            self.reread()
            check_shared(self)
            context = self._context(oracle, on_event)
            step = rounds.step_of(phase)(context, number)
            self.store.commit(
                number, phase, step.facts.to_json(), then=step.then, query=step.query, annotations=step.annotations, pool=step.pool
            )
            rounds.tidy(context, number, phase)
        return (number, phase), step.then[1]

    def repeat(self, phase: Phase, *, on_event: Callable[[Event], None] | None = None) -> int | None:
        """Do TRAIN, EVALUATE or SCORE again with the labels and settings of now, where `round_to_repeat` allows it; returns the round.

        EVALUATE is done at once and moves nothing else; the other rounds are judged by the labels of now too, `rounds_to_judge`. TRAIN and
        SCORE become the next step, and those after them are to follow.
        """
        with self._lock():
            number, context = round_to_repeat(self, phase), self._context(None, on_event)
            for other in rounds_to_judge(self) if phase is Phase.EVALUATE else ():
                self.store.amend(other, phase, rounds.judge_again(context, other).to_json())
            if number is not None and phase is Phase.EVALUATE:
                self.store.amend(number, phase, rounds.step_of(phase)(context, number).facts.to_json())
            elif number is not None:
                self.store.reopen(number, phase)
        return number

    def inspect_shard(self, shard: Shard, *, on_event: Callable[[Event], None] | None = None) -> str | None:
        """Do one share of the pool pass that comes next, beside other processes that do the others; nothing is committed.

        `step` then inspects what is missing, joins the shares and commits. Returns why there is nothing to inspect, if so. Raises
        StudyError when the next step is another, or config.yaml was edited and the edit not taken in.
        """
        return rounds.inspect_shard(self._context(None, on_event), round_to_inspect(self), shard)

    def train_along(self) -> None:
        """What ranks other than 0 do under torchrun: wait for the training step, and till rank 0 has taken an edit of config.yaml in; train
        with the others, write nothing."""
        while (position := self.position)[1] is not Phase.TRAIN or self.edited() is not None:
            number, phase = position
            if phase not in _UP_TO_TRAIN or (phase is Phase.ANNOTATE and self.store.unanswered(number).items):
                return  # rank 0 has found the same and said so
            sleep(_POLL_SECONDS)
            self.reread()
        rounds.train_along(self._context(None, None), position[0])

    def run(
        self,
        annotator: Annotator | None = None,
        *,
        oracle: Callable[[str], Boxes] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_step: Callable[[int, Phase], None] | None = None,
        workers: Workers | None = None,
    ) -> Phase:
        """Step until the study is DONE or needs labels and there is no annotator; returns ANNOTATE or DONE. workers: inspect the pool."""
        self._reopen()
        while True:
            phase = self.position[1]
            if phase is Phase.SCORE and workers is not None:
                inspect_by(workers, self, on_event or _ignore)
            if phase is Phase.ANNOTATE and annotator is not None:
                self.answer(annotator)
            done, following = self._advance(oracle, on_event)
            if done is None:
                return following
            if on_step is not None:
                on_step(*done)

    def expected_duration(self) -> Duration | None:
        """How long the rounds from here on take, measured on a few steps; None unless a training comes before people are asked again."""
        number, phase = self.position
        trains = phase in (Phase.ANNOTATE, Phase.AUDIT, Phase.COMPOSE, Phase.TRAIN)
        waits = phase is Phase.ANNOTATE and bool(self.store.unanswered(number).items)
        return expected_duration(self._context(None, None), number) if trains and not waits else None

    def edited(self) -> StudyConfig | None:
        """What config.yaml says now, where that is another config than the one in force."""
        now = self.in_file()
        return None if now == self.config else now

    def change(self, config: StudyConfig) -> list[settings.Change]:
        """Go on under another config from the next step on; recorded with the round. Returns what changed.

        Raises StudyError that names each key that cannot change any more, and why; then nothing changes.
        """
        with self._lock():
            number, phase = self.changes_from
            position = settings.StudyPosition(number, phase, questions=phase is Phase.ANNOTATE and bool(self.proposals()))
            wanted = settings.changes(self.config, config := with_its_scorer(settled(config), self.config))
            if refused := settings.refusals(wanted, position):
                raise StudyError("\n".join(f"{self.folder}: {reason}" for reason in refused))
            rounds.check_change(self._context(None, None), config, {change.key for change in wanted}, phase)
            if settings.scores_anew(wanted, position):
                self.store.reopen(number - 1, Phase.SCORE)  # first: a kill in between costs a pass, and no selection by other settings
            if wanted:
                made = [[change.key, change.before, change.after] for change in wanted]
                entry = {"round": number, "step": phase.value, "at": self.store.clock(), "changes": made}
                self.store.put("settings", [*self.changed_settings(), entry])
            self._set_config(config)
        self._reopen()
        return wanted

    def extend(self, rounds: int) -> None:
        """Allow `rounds` rounds in all: the one part of a study's config that may grow."""
        if rounds < self.config.budget.rounds:
            raise StudyError(f"{self.folder}: budget.rounds is {self.config.budget.rounds}, it can only grow; found {rounds}.")
        with self._lock():
            self._set_config(self.config.model_copy(update={"budget": self.config.budget.model_copy(update={"rounds": rounds})}))
        self._reopen()

    def go_back(self, round_index: int, phase: Phase) -> None:
        """Do a step of a round again, and what comes after it; only while no question has been asked since."""
        with self._lock():
            self.store.reopen(round_index, phase)

    @property
    def end(self) -> End | None:
        """Why a study that was done is over, by its settings and labels of now; None where it is not done, or goes on."""
        number, phase = self.position
        if phase is not Phase.DONE:
            return None
        nothing_to_ask = self.round(number).select.ended
        return End(nothing_to_ask) if nothing_to_ask else end_of(self._context(None, None), number)

    def _reopen(self) -> None:
        """A study that was done goes on with its last score step where nothing ends it any more, as a larger budget."""
        if self._may_go_on():
            with self._lock():
                if self._may_go_on():  # still: another process may have seen to it
                    self.store.reopen(self.position[0], Phase.SCORE)

    def _may_go_on(self) -> bool:
        return self.position[1] is Phase.DONE and self.end is None

    def fork(self, folder: Path, config: StudyConfig) -> Study:
        """A copy of this study in `folder` that goes on under another `config`; paired arms share their first training by it.

        Waits while another process forks the same study.
        """
        with self._lock(wait=True):
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            self.store.close()  # so that the write-ahead log is merged into the one file that is copied
            shutil.copytree(self.folder, partial, ignore=shutil.ignore_patterns(".lock", ".pictures"))
        copy = Study(partial, Store.open(url_of(partial, config)), config)
        copy._set_config(config)
        copy.store.close()
        partial.replace(folder)
        return Study.open(folder)

    def _context(self, oracle: Callable[[str], Boxes] | None, on_event: Callable[[Event], None] | None) -> RoundContext:
        return RoundContext(self.folder, self.store, self.config, self.classes, oracle, on_event or _ignore, self.class_changes())

    def answer(self, annotator: Annotator) -> None:
        """Let `annotator` answer everything that is asked now, under its name."""
        name = str(getattr(annotator, "name", type(annotator).__name__))
        classes = self.classes
        for item in self.ask().items:
            verdicts, seconds = annotator.annotate(item, self.proposals().get(item.image_id))
            self.tell(item.image_id, verdicts, annotator=name, seconds=seconds, classes=classes)

    def _set_config(self, config: StudyConfig) -> None:
        config = as_kept(config)
        write_config(self.folder, config)  # first: a file that is ahead of the store is taken for an edit, and taken in
        self.store.put("config", config.model_dump(mode="json"))
        self.config = config


def _ignore(_event: Event) -> None: ...
