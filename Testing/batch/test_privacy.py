"""What identifies a patient is found in every form that names of files and messages have it in, and nothing else is."""

from __future__ import annotations

import pytest

from GANSegmentationLib.batch.privacy import REMOVED, Redactor, pseudonym

FACTS = {"PatientName": "Mustermann^Erika^Li", "PatientID": "AB-1234/7", "PatientBirthDate": "19640812"}


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.learn(FACTS)
    return made


@pytest.mark.parametrize(
    "text",
    [
        *("MUSTERMANN_ERIKA", "erika.mustermann", "ErikaMustermann2020", "x-mustermann-ct", "CT of Erika"),
        *("AB-1234/7", "ab12347", "AB_1234_7.dcm", "scan-AB-1234-7-portal", "AB1234.7", "AB 1234-7"),
        *("19640812", "1964-08-12", "12.08.1964", "born 08/12/1964", "p_12081964_ct"),
        *("12-08-64", "120864", "640812_CT", "08.12.64"),
    ],
)
def test_names_numbers_and_dates_are_found_in_the_forms_that_files_have(redactor, text):
    assert redactor.names_somebody(text)
    assert not any(part in redactor.clean(text).lower() for part in ("muster", "erika", "1234", "1964"))


@pytest.mark.parametrize("text", ["Liver", "case 12", "The slices are 5 mm apart", "119640812345", "site-1/scan-07"])
def test_other_texts_stay_as_they_are(redactor, text):
    assert not redactor.names_somebody(text)
    assert redactor.clean(text) == text


def test_short_names_count_only_where_they_stand_alone():
    redactor = Redactor()
    redactor.learn({"PatientName": "Ott^Eva"})
    assert redactor.clean("Evaluation of bottom slices") == "Evaluation of bottom slices"
    assert redactor.clean("for Eva, by Ott") == f"for {REMOVED}, by {REMOVED}"
    assert redactor.names_somebody("OttEva")


def test_a_name_in_several_scripts_is_found_in_each():
    redactor = Redactor()
    redactor.learn({"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう"})
    assert all(redactor.names_somebody(text) for text in ("yamada", "山田_太郎", "太郎", "やまだ"))


@pytest.mark.parametrize("name", ["Anonymous", "ANON^PATIENT", "", "Unknown"])
def test_the_name_of_nobody_is_no_name(name):
    redactor = Redactor()
    redactor.learn({"PatientName": name, "PatientID": "1"})
    assert not redactor.names_somebody("anonymous patient 1")


def test_everything_within_json_is_cleaned(redactor):
    cleaned = redactor.clean_json({"message": "no slice of Mustermann", "list": ["Erika", 3, None], "n": 1.5})
    assert cleaned == {"message": f"no slice of {REMOVED}", "list": [REMOVED, 3, None], "n": 1.5}


def test_who_asks_for_names_gets_them():
    redactor = Redactor(keep=True)
    redactor.learn(FACTS)
    assert redactor.clean("Mustermann") == "Mustermann"
    assert not redactor.names_somebody("Mustermann")


def test_pseudonyms_are_stable_differ_by_text_and_cannot_be_made_without_the_key():
    assert pseudonym(b"key", "a") == pseudonym(b"key", "a")
    assert len({pseudonym(b"key", "a"), pseudonym(b"key", "b"), pseudonym(b"another", "a")}) == 3
