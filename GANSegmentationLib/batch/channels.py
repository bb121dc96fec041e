"""Which scans belong together as the inputs of a model with several channels.

Image files belong together by their names, as nnU-Net has them: ``scan_0000.nii.gz`` is the first channel of ``scan``,
``scan_0001.nii.gz`` the second; or as patterns say, one for each channel, whose one ``*`` is what the files of a case
have in common: ``*_t1.nii.gz`` and ``*_t2.nii.gz``. DICOM series belong together if they are of one study, and a rule
for each channel says which is which: ``modality=MR,description=*t1*``. A channel that is missing, or for which there
are several, fails its case: nothing is guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from pathlib import PurePosixPath

from ..errors import GANSegmentationError
from ..volumes.dicom_choice import fitting, is_rule
from ..volumes.files import stem
from .naming import Found

_NNUNET = "_%04d"


@dataclass(frozen=True)
class Channels:
    """The inputs of a model.

    Parameters
    ----------
    names:
        Of the channels, in their order.
    rules:
        What chooses each of them: a rule for DICOM series or a pattern for names of files, all of one kind; empty for
        nnU-Net's names.
    """

    names: tuple[str, ...] = ("image",)
    rules: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse rules that cannot be meant.

        Raises
        ------
        GANSegmentationError
            ``wrong_use``; ``wrong_rule`` as `volumes.dicom_choice.fitting`.
        """
        if not self.rules:
            return
        if len(self.rules) != len(self.names):
            raise _wrong_use(
                f"The model has {len(self.names)} channels ({', '.join(self.names)}) and {len(self.rules)} were given.",
                "Give --channel once for each of them, in this order.",
            )
        kinds = {is_rule(rule) for rule in self.rules}
        if len(kinds) > 1:
            raise _wrong_use(
                "Some channels are rules for DICOM series and others patterns for names of files.",
                "Give rules (key=pattern) for all of them, or patterns (*_t1.nii.gz).",
            )
        for rule in self.rules:
            if is_rule(rule):
                fitting((), rule)
            elif rule.count("*") != 1 or "/" in rule:
                raise _wrong_use(
                    f"The channel {rule!r} is no pattern for names of files.",
                    "Give one * for what the files of a case have in common, as in *_t1.nii.gz.",
                )

    def together(self, found: Sequence[Found], root: str) -> list[Found]:
        """The cases that some scans make; those that lack a channel, or have one twice, with their problem.

        `root` is the name of the input folder, for a study that lies right in it.
        """
        if len(self.names) == 1 and not self.rules:
            return list(found)
        unreadable = [each for each in found if each.problem is not None]
        sound = [each for each in found if each.problem is None]
        files = [each for each in sound if each.series is None]
        series = [each for each in sound if each.series is not None]
        if not self.rules:
            return [*unreadable, *self._by_nnunet(files), *self._without_rules(series, root)]
        if is_rule(self.rules[0]):
            return [*unreadable, *self._by_rules(series, root)]
        return [*unreadable, *self._by_patterns(files)]

    def _by_rules(self, series: Sequence[Found], root: str) -> list[Found]:
        cases = []
        for study in _studies(series):
            by_number = [
                [each for each in study if each.series in fitting([one.series for one in study if one.series], rule)]
                for rule in self.rules
            ]
            if any(by_number):  # else it is another kind of study
                cases.append(self._case(_place(study, root), by_number, study))
        return cases

    def _without_rules(self, series: Sequence[Found], root: str) -> list[Found]:
        what = f"The model takes {len(self.names)} series at once ({', '.join(self.names)}), and nobody said which."
        action = "Give --channel once for each of them: a rule such as modality=MR,description=*t1*."
        problem = GANSegmentationError("channels_unknown", what, action=action)
        return [replace(_all_of(_place(study, root), study), problem=problem) for study in _studies(series)]

    def _by_patterns(self, files: Sequence[Found]) -> list[Found]:
        patterns = [re.compile(translate(rule).replace(".*", "(.*)", 1), re.IGNORECASE) for rule in self.rules]
        by_case: dict[PurePosixPath, list[list[Found]]] = {}
        for each in files:
            for number, pattern in enumerate(patterns):
                match = pattern.match(each.path.name)
                if match is not None:
                    place = each.place.with_name(match.group(1) or "scan")
                    by_case.setdefault(place, [[] for _ in self.names])[number].append(each)
        return [self._case(place, by_number, _flat(by_number)) for place, by_number in by_case.items()]

    def _by_nnunet(self, files: Sequence[Found]) -> list[Found]:
        by_case: dict[PurePosixPath, list[list[Found]]] = {}
        cases = []
        for each in files:
            match = re.fullmatch(r"(.+)_(\d{4})", stem(each.path))
            if match is None or int(match.group(2)) >= len(self.names):
                cases.append(replace(each, problem=self._not_named(each)))
                continue
            place = each.place.with_name(match.group(1))
            by_case.setdefault(place, [[] for _ in self.names])[int(match.group(2))].append(each)
        return cases + [self._case(place, by_number, _flat(by_number)) for place, by_number in by_case.items()]

    def _case(self, place: PurePosixPath, by_number: Sequence[Sequence[Found]], members: Sequence[Found]) -> Found:
        missing = [name for name, found in zip(self.names, by_number, strict=True) if not found]
        several = {name: found for name, found in zip(self.names, by_number, strict=True) if len(found) > 1}
        if missing or several:
            return replace(_all_of(place, members), problem=self._problem(missing, several))
        first, *others = (found[0] for found in by_number)
        twice = len({(each.path, each.series and each.series.uid) for each in (first, *others)}) < len(self.names)
        files = tuple(dict.fromkeys(file for each in (first, *others) for file in each.files))
        problem = self._problem_of_one() if twice else None
        return replace(first, place=place, files=files, others=tuple(others), problem=problem)

    def _problem(self, missing: Sequence[str], several: Mapping[str, Sequence[Found]]) -> GANSegmentationError:
        if several:
            name, found = next(iter(several.items()))
            which = ", ".join(sorted(_said(each) for each in found))
            return GANSegmentationError(
                "channel_ambiguous",
                f"Several scans of the case could be the channel {name}: {which}.",
                action="Say more precisely which with --channel, or leave the others out with --exclude.",
            )
        return GANSegmentationError(
            "channel_missing",
            f"The case has no scan for the channel {' and '.join(missing)} of the model, which has {len(self.names)}.",
            cause="The scan is not there, or it is called something else.",
            action="Add it, or say with --channel how it is to be known; then give the command with --retry-failed.",
        )

    def _problem_of_one(self) -> GANSegmentationError:
        return GANSegmentationError(
            "channel_ambiguous",
            f"One scan is taken for several channels of the model ({', '.join(self.names)}).",
            action="Say more precisely which is which with --channel.",
        )

    def _not_named(self, found: Found) -> GANSegmentationError:
        last = len(self.names) - 1
        return GANSegmentationError(
            "channels_unknown",
            f"The model takes {len(self.names)} scans at once ({', '.join(self.names)}), and the name of this one does "
            "not say which it is.",
            action=f"End the names with {_NNUNET % 0} to {_NNUNET % last}, or give --channel once for each.",
        )


def _studies(series: Sequence[Found]) -> list[list[Found]]:
    """The series in groups of one study; without its UID, those of one folder."""
    groups: dict[str, list[Found]] = {}
    for each in series:
        assert each.series is not None
        groups.setdefault(each.series.study or str(each.series.folder), []).append(each)
    return list(groups.values())


def _all_of(place: PurePosixPath, members: Sequence[Found]) -> Found:
    files = tuple(dict.fromkeys(file for each in members for file in each.files))
    return replace(members[0], place=place, files=files, others=tuple(members[1:]))


def _place(study: Sequence[Found], root: str) -> PurePosixPath:
    """The folder that all series of a study lie in; the name of the input folder where that is it."""
    common = PurePosixPath(os.path.commonpath([each.folder for each in study]))
    return common if common.name else PurePosixPath(root)


def _flat(by_number: Sequence[Sequence[Found]]) -> list[Found]:
    return [each for found in by_number for each in found]


def _said(found: Found) -> str:
    """A scan as a message names it: by its number or name alone."""
    if found.series is None:
        return found.path.name
    number = f"series {found.series.number or '?'}"
    return number if found.series.part is None else f"{number}, volume {found.series.part}"


def _wrong_use(message: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("wrong_use", message, action=action)
