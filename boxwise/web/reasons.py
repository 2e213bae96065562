"""Why the server refuses what it was sent: each reason has a code, so that the page can say it in its reader's language.

Returns the English sentence, and its code and values for the page, whose catalogue (static/catalogue.reasons.js) has every code in every
other language. Knows nothing of HTTP or studies.
"""

from __future__ import annotations

from typing import Any

REASONS = {
    # an answer, a draft, an image that is opened
    "unknown_image": "{0}: no such image in the study.",
    "taken": "{0}: {1} is labelling it.",
    "out_of_use": "{0} is out of use and not labelled any more: {1}",
    "future_round": "{0}: round {1}, expected at most {2}, the round the study is in.",
    "question_withdrawn": "{0}: round {1} is not asked now. It was withdrawn, as when the classes of the study change, and is asked anew "
    "after a training. Nothing of it was stored.",
    "question_changed": "{0}: other boxes are asked about by now than those that this answers, as after a change of the classes. Nothing "
    "of it was stored, since it would hit other boxes: look at what is asked now, and hand the image in again.",
    "labels_changed": "{0}: its labels were changed meanwhile, by an import, another person or another answer of yours. Nothing of it was "
    "stored, since it would hit other boxes: look at the labels of now, and hand the image in again.",
    "box_order": "{0}: box {1}, expected finite x1 < x2 and y1 < y2.",
    "box_outside": "{0}: box {1} reaches out of the image, expected it within {2} x {3}.",
    "box_sliver": "{0}: box {1}, expected sides of {2} pixel or more.",
    "class_is_gone": "the classes of the study have changed, and {0} is none of them now. Load the page anew, and hand the image in again.",
    "key_of_another": "{0}: key {1} is the key of another answer.",
    "not_taken_back": "{0}: the answer cannot be taken back any more. Open the image again to correct it.",
    # who may do what
    "own_name": "this is the link of {0}: expected their name, and no other.",
    "for_reviewers": "{0} is {1}: this is for reviewers and leads.",
    "for_leads": "{0} is {1}: this is for leads.",
    "answered_by_another": "{0}: {1} has answered it, and {2} is {3}; reviewers may open it.",
    "kept_for_another": "{0}: it was sent back to {1}, and {2} is {3}; reviewers may open it.",
    "not_theirs_to_flag": "{0}: it is not asked about and {1}, who is {2}, has not answered it; reviewers may flag it and take flags back.",
    # a review, the guidelines
    "remark_missing": "{0}: expected a remark that says why it is sent back, found none.",
    "not_under_review": "{0}: this answer is not under review any more, or it is not for {1} to judge.",
    "guidelines_changed": "the guidelines were changed meanwhile. Copy your text, load the page anew and put both together.",
    # one image of many, on the pool's page
    "asked_already": "{0} is asked about now.",
    "labelled_already": "{0} is labelled: only images of the pool can be asked about next.",
    "flagged": "{0} is flagged as unusable: only images of the pool can be asked about next.",
    "for_val": "{0} is for validation: only images of the pool can be asked about next.",
    "for_test": "{0} is for the test: it is never asked about.",
    "not_asked": "{0} is not asked about now, so it cannot be skipped.",
    "reason_missing": "{0}: expected a reason, found none.",
    # the request itself
    "malformed": "{0}: {1}",
    "mistake": "{0}",
    "wrong_host": "host {0} is not one this page is served under; expected {1}. `boxwise label --url` gives it another",
    "body_unwanted": "a {0} has no body",
    "token": "open the page with the link that `boxwise label` printed: its token is missing or wrong",
    "content_type": "expected content type application/json, found {0}",
    "other_site": "this request comes from another site",
    "body_late": "the request's body did not come within {0} s",
    "too_large": "the request is larger than {0} bytes",
}


class Reason:
    """One refusal. code: of REASONS; KeyError for another. values: what its sentence is about, in the order of its places."""

    def __init__(self, code: str, *values: object) -> None:
        self.code, self.values = code, [str(value) for value in values]
        self._sentence = REASONS[code].format(*self.values)

    def __str__(self) -> str:
        return self._sentence

    def to_json(self) -> dict[str, Any]:
        """As replies carry it. error: the sentence in English, for programs and for codes that a page of an earlier version lacks."""
        return {"error": str(self), "code": self.code, "values": self.values}
