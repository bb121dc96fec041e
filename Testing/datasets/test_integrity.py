"""A bad dataset is found before the first step."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.datasets import Case, Dataset, Finding, Split, check_dataset, prepare, require_sound
from GANSegmentationLib.datasets.integrity import check_case, condensed
from GANSegmentationLib.errors import GANSegmentationError


@pytest.fixture
def dataset(layouts_folder: Path, tmp_path: Path) -> Dataset:
    return prepare([("lits_slices", layouts_folder / "lits")], tmp_path, labels={1: "Liver"})


def _rewrite(dataset: Dataset, kind: str, array: np.ndarray) -> None:
    """Another array for a case, as if it had been prepared so."""
    np.save(dataset.folder / kind / "lits_v01.npy", array)
    case = dataset.by_id["lits_v01"]
    dataset.by_id["lits_v01"] = changed = replace(case, fingerprint=dataset.stored_fingerprint(case))
    object.__setattr__(dataset, "cases", tuple(changed if each.id == case.id else each for each in dataset.cases))


def test_a_sound_dataset_has_no_finding(dataset: Dataset) -> None:
    assert check_dataset(dataset) == []


def test_a_label_nobody_explains_is_an_error(dataset: Dataset) -> None:
    masks = np.array(dataset.masks(dataset.by_id["lits_v01"]))
    masks[0, 0, 0] = 63
    _rewrite(dataset, "masks", masks)
    with pytest.raises(GANSegmentationError, match=r"lits_v01.*63") as caught:
        require_sound(dataset)
    assert caught.value.code == "unsound_dataset"


def test_only_empty_masks_are_a_warning(dataset: Dataset) -> None:
    _rewrite(dataset, "masks", np.zeros((6, 64, 64), np.uint8))
    (finding,) = require_sound(dataset)
    assert (finding.level, finding.case) == ("warning", "lits_v01")


@pytest.mark.parametrize("slope", [1.0, 1.027])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_hounsfield_units_wrapped_into_eight_bits_are_refused(dataset: Dataset, slope: float, kind: type) -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:64, 0:64]
    body = ((rows - 32) / 26) ** 2 + ((columns - 32) / 30) ** 2 < 1
    scan = np.where(body, 60, -1000) + rng.normal(0, 12, (6, 64, 64))
    scan[:, 40:44, 20:44] -= 160  # fat
    scan[:, 20:32, 20:32] -= 60  # water: its noise lies about 0 HU
    _rewrite(dataset, "images", scan.astype(np.int16).astype(np.uint8).astype(kind))

    def findings() -> list[Finding]:
        case = replace(dataset.by_id["lits_v01"], slope=slope, intercept=0.0, value_range=(0.0, 270.0))
        return check_dataset(Dataset(dataset.folder, (case,), dataset.labels))

    (finding,) = findings()
    assert finding.level == "error" and "wrapped" in finding.text
    # The same scan windowed honestly passes: smooth, no jumps.
    scan[:, 44:50, 28:36] = 400  # the spine
    _rewrite(dataset, "images", np.clip(scan + 100, 0, 255).astype(np.uint8).astype(kind))
    assert findings() == []


def test_a_ct_without_contrast_between_tissues_is_refused(dataset: Dataset) -> None:
    _rewrite(dataset, "images", np.random.default_rng(0).integers(40, 60, (6, 64, 64)).astype(np.uint8))
    assert any("span only" in finding.text for finding in check_dataset(dataset))


def test_values_that_are_not_finite_are_refused(dataset: Dataset) -> None:
    images = np.zeros((6, 64, 64), np.float32)
    images[0, 0, 0], images[0, 0, 1] = np.nan, 300
    _rewrite(dataset, "images", images)
    assert any("not finite" in finding.text for finding in check_dataset(dataset))


@pytest.mark.parametrize("kind", ["images", "masks"])
def test_a_file_that_was_changed_after_it_was_prepared_is_an_error(dataset: Dataset, kind: str) -> None:
    path = dataset.folder / kind / "lits_v01.npy"
    array = np.load(path)
    array[2, 30, 20] ^= 1
    np.save(path, array)
    (finding,) = check_dataset(dataset)
    assert (finding.level, finding.case) == ("error", "lits_v01") and "prepared" in finding.text


def test_a_patient_on_both_sides_is_found_before_training(dataset: Dataset) -> None:
    leaking = Dataset(
        dataset.folder,
        tuple(replace(case, patient="lits_v00") if case.id == "lits_v01" else case for case in dataset.cases),
        dataset.labels,
    )
    with pytest.raises(GANSegmentationError) as caught:
        require_sound(leaking, Split(train=("lits_v00",), validation=("lits_v01",)))
    assert caught.value.code == "patient_leakage"


# -- one case, every kind of image -------------------------------------------------------------------------------------


def _case(tmp_path: Path, images: np.ndarray, masks: np.ndarray | None = None, **facts: object) -> tuple[Dataset, Case]:
    """A dataset of one case with these arrays, as if it had been prepared so; full-range CT unless told otherwise."""
    masks = np.zeros(images.shape, np.uint8) if masks is None else masks
    if masks.dtype == np.uint8 and facts.get("labelled", True):
        masks = masks.copy()
        masks[..., :2, :2] = np.maximum(masks[..., :2, :2], 1)
    for kind, array in (("images", images), ("masks", masks)):
        (tmp_path / kind).mkdir(exist_ok=True)
        np.save(tmp_path / kind / "one.npy", array)
    case = Case(
        **{
            "id": "one", "source": "s", "patient": "one", "modality": "CT", "unit": "HU", "slices": len(images),
            "shape": images.shape[1:], "slope": 1.0, "intercept": 0.0, "value_range": (-1024.0, 3071.0),
            "slice_index": tuple(range(len(images))), "foreground": (4,) * len(images), "fingerprint": "",
            **facts,
        }  # type: ignore[arg-type]
    )  # fmt: skip
    case = replace(case, fingerprint=Dataset(tmp_path, (case,)).stored_fingerprint(case))
    return Dataset(tmp_path, (case,), {1: "Liver", 2: "Spleen"}), case


def _scan(seed: int = 0, side: int = 48) -> np.ndarray:
    """A body in air with fat, liver and spine, int16 HU."""
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    body = (rows / 0.4) ** 2 + (columns / 0.45) ** 2 < 1
    scan = np.where(body, 50.0, -1000.0)
    scan[(rows / 0.36) ** 2 + (columns / 0.42) ** 2 > 1] -= 20
    scan[int(0.65 * side) : int(0.75 * side), int(0.45 * side) : int(0.55 * side)] = 700
    return (scan + np.random.default_rng(seed).normal(0, 10, (3, side, side))).astype(np.int16)


def _texts(dataset: Dataset, case: Case, level: str = "error") -> str:
    return "; ".join(finding.text for finding in check_case(dataset, case) if finding.level == level)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_a_sound_scan_of_any_number_type_has_no_finding(tmp_path: Path, kind: type) -> None:
    assert check_case(*_case(tmp_path, _scan().astype(kind))) == []


def test_an_unsigned_scan_with_its_intercept_is_sound(tmp_path: Path) -> None:
    stored = (_scan().astype(np.int32) + 1024).clip(0, None).astype(np.uint16)
    assert check_case(*_case(tmp_path, stored, intercept=-1024.0)) == []
    # Without it every tissue lies 1024 HU too high.
    assert "intercept" in _texts(*_case(tmp_path, stored), level="warning")


def test_negative_hounsfield_units_in_unsigned_sixteen_bit_are_refused(tmp_path: Path) -> None:
    assert "16 bit" in _texts(*_case(tmp_path, _scan().astype(np.uint16)))


def test_padding_outside_of_the_field_of_view_is_mentioned_and_not_refused(tmp_path: Path) -> None:
    scan = _scan()
    scan[:, :6, :6] = -2575
    dataset, case = _case(tmp_path, scan, value_range=(-2575.0, 3071.0))
    assert _texts(dataset, case) == "" and "field of view" in _texts(dataset, case, "warning")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32])
def test_magnetic_resonance_has_no_hounsfield_units_to_be_wrong(tmp_path: Path, kind: type) -> None:
    values = np.random.default_rng(0).integers(0, 256, (3, 48, 48)).astype(kind)  # jumps all over, as of wrapped HU
    facts = {"modality": "MR", "unit": "arbitrary", "value_range": (0.0, 255.0)}
    assert check_case(*_case(tmp_path, values, **facts)) == []
    narrow = _case(tmp_path, (values % 9).astype(kind), **facts)
    assert check_case(*narrow) == [], "an MR of few grey values is no CT without contrast"
    assert "one value" in _texts(*_case(tmp_path, np.full((3, 48, 48), 7, kind), **facts))


def test_values_beyond_what_the_source_can_hold_are_mentioned(tmp_path: Path) -> None:
    assert "slope or intercept" in _texts(*_case(tmp_path, _scan(), slope=10.0), level="warning")


@pytest.mark.parametrize(
    ("images", "said"), [(_scan() > 0, "bool"), (_scan().astype(np.complex64), "complex64")], ids=["bool", "complex"]
)
def test_images_that_are_not_numbers_are_refused(tmp_path: Path, images: np.ndarray, said: str) -> None:
    assert said in _texts(*_case(tmp_path, images))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_single_value_that_is_not_finite_is_refused(tmp_path: Path, bad: float) -> None:
    scan = _scan().astype(np.float32)
    scan[1, 2, 3] = bad
    assert "not finite" in _texts(*_case(tmp_path, scan))


@pytest.mark.parametrize("kind", [np.int16, np.float32, bool])
def test_masks_of_another_type_are_refused(tmp_path: Path, kind: type) -> None:
    assert "uint8" in _texts(*_case(tmp_path, _scan(), np.ones((3, 48, 48), kind)))


def test_an_array_of_another_shape_than_the_manifest_says_is_refused(tmp_path: Path) -> None:
    dataset, case = _case(tmp_path, _scan())
    np.save(tmp_path / "masks" / "one.npy", np.zeros((3, 48, 47), np.uint8))
    with pytest.raises(GANSegmentationError, match="47") as caught:
        check_case(dataset, case)
    assert caught.value.code == "invalid_dataset"


def test_a_case_without_masks_is_not_called_empty_and_has_none(tmp_path: Path) -> None:
    empty = np.zeros((3, 48, 48), np.uint8)
    assert check_case(*_case(tmp_path, _scan(), empty, labelled=False)) == []
    drawn = empty.copy()
    drawn[1, 20:30, 20:30] = 1
    assert "said to have no masks" in _texts(*_case(tmp_path, _scan(), drawn, labelled=False))


def test_withheld_masks_are_not_called_empty(dataset: Dataset) -> None:
    _rewrite(dataset, "masks", np.zeros((6, 64, 64), np.uint8))
    assert len(check_dataset(dataset)) == 1
    assert check_dataset(dataset, unlabelled_patients=["lits_v01"]) == []


# -- labels that are to be learnt --------------------------------------------------------------------------------------


def _with_label_two(dataset: Dataset, *names: str) -> Dataset:
    """The dataset with a second label in these cases."""
    for name in names:
        masks = np.array(dataset.masks(dataset.by_id[name]))
        masks[2, :3, :3] = 2
        np.save(dataset.folder / "masks" / f"{name}.npy", masks)
    cases = tuple(replace(case, fingerprint=dataset.stored_fingerprint(case)) for case in dataset.cases)
    return Dataset(dataset.folder, cases, {1: "Liver", 2: "Spleen"})


SPLIT = Split(train=("lits_v00", "lits_v01", "lits_v02"), validation=("lits_v03",))


def test_a_label_that_no_training_case_has_is_an_error(dataset: Dataset) -> None:
    dataset = _with_label_two(dataset, "lits_v03")  # only who validates
    with pytest.raises(GANSegmentationError, match=r"label 2 \(Spleen\)") as caught:
        require_sound(dataset, SPLIT, labels=[1, 2])
    assert caught.value.code == "unsound_dataset"
    assert require_sound(dataset, SPLIT, labels=[1]) == []
    with pytest.raises(GANSegmentationError, match="does not name"):
        require_sound(dataset, SPLIT, labels=[5])


def test_a_label_that_only_withheld_masks_have_is_not_there(dataset: Dataset) -> None:
    dataset = _with_label_two(dataset, "lits_v01", "lits_v03")
    assert require_sound(dataset, SPLIT, labels=[2]) == []
    with pytest.raises(GANSegmentationError, match="label 2"):
        require_sound(dataset, SPLIT, labels=[2], unlabelled_patients=["lits_v01"])


def test_a_validation_patient_without_a_label_is_a_warning(dataset: Dataset) -> None:
    dataset = _with_label_two(dataset, "lits_v01")
    (finding,) = require_sound(dataset, SPLIT, labels=[1, 2])
    assert (finding.level, finding.case) == ("warning", "lits_v03") and "label 2 (Spleen)" in finding.text


# -- one patient under two names ---------------------------------------------------------------------------------------


def test_the_same_picture_on_both_sides_of_the_split_is_a_warning(dataset: Dataset) -> None:
    images = np.array(dataset.images(dataset.by_id["lits_v01"]))
    images[4] = dataset.images(dataset.by_id["lits_v03"])[2]
    _rewrite(dataset, "images", images)
    (finding,) = check_dataset(dataset, SPLIT)
    assert (finding.level, finding.case) == ("warning", "lits_v03") and finding.text.startswith("patient_leakage")
    assert "slice 2 is the same picture as slice 4 of lits_v01" in finding.text
    assert check_dataset(dataset, Split(train=("lits_v01", "lits_v03", "lits_v00"), validation=("lits_v02",))) == []
    (finding,) = check_dataset(dataset)
    assert "slice" in finding.text, "without a split, two names are told of wherever they are"


@pytest.mark.real_data
def test_patients_that_two_public_sets_share_are_found_without_a_list(shared_data: Path, tmp_path: Path) -> None:
    for layout, names in (("lits", ("v00", "v07", "v18")), ("msd", ("c001", "c002", "c003", "c070", "c100"))):
        (tmp_path / layout).mkdir()
        for name in names:
            for path in (shared_data / f"liver_ct_slices_{layout}").glob(f"{name}*"):
                (tmp_path / layout / path.name).symlink_to(path)
    shared = json.loads((shared_data / "liver_ct_same_patients.json").read_text())["msd_to_lits"]
    known = {
        (f"lits_{shared[name]}", f"msd_{name}") for name in ("c001", "c002", "c003", "c070", "c100") if name in shared
    }
    sources = [(f"{layout}_slices", tmp_path / layout) for layout in ("lits", "msd")]
    dataset = prepare(sources, tmp_path / "prepared", labels={1: "Liver"})
    known = {pair for pair in known if set(pair) <= set(dataset.by_id)}
    findings = [finding for finding in check_dataset(dataset) if "patient_leakage" in finding.text]
    assert known and {(each.case, each.text.split(" of ")[2].split(",")[0]) for each in findings} == known


def test_findings_that_many_cases_share_are_said_once() -> None:
    many = [Finding("warning", f"c{number}", "is empty") for number in range(9)] + [Finding("error", "c3", "is broken")]
    assert condensed(many) == [
        Finding("warning", "9 cases (c0 to c8)", "is empty"),
        Finding("error", "c3", "is broken"),
    ]
    assert condensed(many[:2]) == many[:2]


def test_masks_of_another_type_are_not_said_to_lack_the_label(layouts_folder: Path, tmp_path: Path) -> None:
    dataset = prepare([("lits_slices", layouts_folder / "lits")], tmp_path, labels={1: "Liver"})
    for case in dataset.cases:
        np.save(dataset.path("masks", case), np.asarray(dataset.masks(case)).astype(np.int16))
    texts = [finding.text for finding in check_dataset(dataset, labels=[1])]
    assert any("its masks are int16" in text for text in texts) and not any("none has" in text for text in texts)
