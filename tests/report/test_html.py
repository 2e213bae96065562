import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_rounds import as_json, made_round
from PIL import Image

from boxwise.evaluation.curves import compare_arms
from boxwise.report.html import write_report
from boxwise.results.facts import Cell, curve
from boxwise.results.tables import figure, percent, signed

VOID = {"meta", "img", "br", "image", "path", "rect", "use", "link"}


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


def report(cells, folder, **options) -> tuple[str, Page]:
    path = write_report(cells, folder / "report.html", title="A <b>study</b>", environment={"torch": "2.8 & more"}, **options)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture(scope="module")
def simulation(make_cells, tmp_path_factory) -> tuple[str, Page]:
    return report(make_cells(), tmp_path_factory.mktemp("report"), quarantined=3)


@pytest.fixture(scope="module")
def single(make_cells, tmp_path_factory) -> tuple[str, Page]:
    return report(make_cells(("dual",), 1, test=False), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def review(make_cooperative, tmp_path_factory) -> tuple[str, Page]:
    return report(make_cooperative(), tmp_path_factory.mktemp("report"))


@pytest.mark.slow
class TestSelfContained:
    def test_nothing_is_asked_of_the_network(self, simulation):
        text, page = simulation
        assert not [tag for tag, _ in page.elements if tag in ("link", "iframe", "object", "base")]
        for _, attributes in page.elements:
            for name in ("src", "href", "xlink:href"):
                assert attributes.get(name, "#").startswith(("#", "data:image/"))
        assert "@import" not in text
        assert not re.search(r"url\((?!#)", text)

    def test_every_element_is_closed_and_every_link_has_its_target(self, simulation):
        _, page = simulation
        assert page.open == []
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        targets = {value[1:] for _, a in page.elements for key in ("href", "xlink:href") if (value := a.get(key) or "").startswith("#")}
        assert targets <= set(ids)

    def test_names_are_inert(self, simulation):
        text, page = simulation
        assert page.all("script") == []
        assert "<script>alert('x')</script>" in page.text  # as words, read back from their escapes
        assert "<b>study</b>" in page.text
        assert "2.8 & more" in page.text
        assert "<b>study" not in text

    def test_pictures_are_small_jpegs(self, single):
        _, page = single
        shots = [uri for a in page.all("image") if (uri := a.get("href", "")).startswith("data:image/jpeg")]
        assert len(shots) == 20
        assert max(map(len, shots)) < 12_000


class TestSimulation:
    def test_the_figures_are_those_of_curves(self, make_cells, simulation):
        _, page = simulation
        summaries = compare_arms([curve(cell, "test") for cell in make_cells()])
        compared = [summary for summary in summaries if summary.difference and summary.saving]
        assert len(compared) >= 3
        for summary in summaries:
            assert figure(summary.area.mean) in page.text
        for summary in compared:
            assert signed(summary.difference.mean) in page.text
            assert percent(summary.saving.mean) in page.text
        assert "not enough seeds (2 of 6)" in page.text

    @pytest.mark.slow
    def test_where_training_has_not_converged_nothing_wins(self, make_cells, tmp_path):
        cells = make_cells(("dual", "random"), 6)
        whole = [dataclasses.replace(c, arm="everything", role="ceiling", rounds=c.rounds[:2]) for c in cells if c.arm == "random"]
        page = write_report([*cells, *whole], tmp_path / "r.html", title="S", environment={}).read_text(encoding="utf-8")
        assert "Undertrained: dual ends" in page and 'class="verdict"' not in page
        assert 'class="verdict"' in write_report(cells, tmp_path / "s.html", title="S", environment={}).read_text(encoding="utf-8")

    def test_every_section_is_there(self, simulation):
        _, page = simulation
        sections = [a["id"] for a in page.all("section")]
        assert sections == ["headline", "results", "curves", "fidelity", "quality", "pr", "confusion", "rounds", "config", "environment"]
        assert len(page.all("figure")) > 20

    def test_upper_bounds_are_marked_wherever_they_are_named(self, simulation):
        _, page = simulation
        prose = page.text[: page.text.index("All keys of")].replace("strategy.name: oracle_loss", "")
        assert prose.count("oracle_loss") == prose.count("oracle_loss (upper bound)") > 5

    def test_the_notes_say_what_to_know_first(self, simulation):
        _, page = simulation
        assert "3 images are quarantined" in page.text
        assert "looks at the ground truth" in page.text

    def test_arms_of_unequal_length_are_called_unfinished(self, make_cells, tmp_path):
        cells = make_cells(("dual", "random"), 1)
        cells[0] = dataclasses.replace(cells[0], rounds=cells[0].rounds[:3])
        assert "Unfinished: between 3 and 4 rounds" in report(cells, tmp_path)[1].text

    def test_arms_that_their_budget_ended_at_different_rounds_are_finished(self, make_cells, tmp_path):
        def over(cell, rounds):
            (*before, last) = cell.rounds[:rounds]
            steps = as_json(last)
            steps["score"] = {**steps.get("score", {}), "ended": "the budget is spent"}
            return dataclasses.replace(cell, rounds=(*before, made_round(last.round, steps)))

        dual, random = make_cells(("dual", "random"), 1)
        text = report([over(dual, 3), over(random, 4)], tmp_path)[1].text
        assert "Ended at different rounds by budget.total or a stopping rule: between 3 and 4 rounds" in text and "Unfinished" not in text

    def test_an_arm_that_ended_early_is_set_aside(self, make_cells, tmp_path):
        cells = make_cells(("dual", "random"), 1)
        cells[0] = dataclasses.replace(cells[0], rounds=cells[0].rounds[:1])
        text = report(cells, tmp_path)[1].text
        assert "dual: set aside in 1 seed" in text and "no area and no rank" in text and "Unfinished" not in text

    def test_config_tells_arms_apart(self, simulation):
        assert "random differs from dual in scorer.name: none" in re.sub(r" +", " ", simulation[1].text)


class TestSingleStudy:
    def test_compares_nothing(self, single):
        _, page = single
        assert "results" not in [a["id"] for a in page.all("section")]
        assert "Wilcoxon" not in page.text
        assert "random" not in page.text.replace("Round 0 random", "")

    def test_says_that_val_is_no_test(self, single):
        assert "No test split" in single[1].text

    def test_shows_why_each_image_was_chosen(self, single):
        _, page = single
        assert {"L_rec", "L_det", "utility"} <= set(page.words)
        assert "r3_0.png" in page.words
        assert any(a.get("src", "").startswith("data:image/jpeg") for a in page.all("img"))  # the reconstruction sheet

    def test_before_the_first_training_there_is_a_page_too(self, make_cells, tmp_path):
        cell = make_cells(("dual",), 1)[0]
        first = made_round(0, {"select": as_json(cell.rounds[0])["select"]})
        waiting = dataclasses.replace(cell, rounds=(first,), labels={})
        _, page = report([waiting], tmp_path)
        assert "No round has been evaluated yet." in page.text
        assert "not labelled yet" in page.text

    def test_no_rounds_and_no_cells_still_give_a_page(self, make_cells, tmp_path):
        cell = make_cells(("dual",), 1)[0]
        for cells in ([dataclasses.replace(cell, rounds=())], []):
            assert "No round has been evaluated yet." in report(cells, tmp_path)[1].text

    def test_a_broken_image_costs_its_picture_only(self, make_cells, tmp_path):
        cell = make_cells(("dual",), 1)[0]
        broken = tmp_path / "broken.png"
        broken.write_bytes(b"\x89PNG not really")
        images = dict(cell.images) | {"r3_0.png": broken}
        _, page = report([dataclasses.replace(cell, images=images)], tmp_path)
        assert page.words.count("no picture") == 1
        assert "r3_1.png" in page.words


@pytest.mark.slow
class TestCooperation:
    def test_a_study_labelled_by_hand_has_no_word_of_it(self, single, simulation):
        for text, page in (single, simulation):
            assert "People and the model" not in page.text
            assert "by the model" not in page.text
            assert not page.all("h4") and 'stroke-dasharray="4 2.5"' not in text

    def test_every_part_is_there(self, review):
        _, page = review
        assert [words for words in page.words if words.strip()].count("People and the model") == 1
        for heading in ("Where the images went", "What each training saw", "How right the model was", "When the model is certain"):
            assert heading in page.text
        for heading in (
            "The growing val",
            "Loss and error over the pool",
            "Hardest images of round 3",
            "simulation: judged by ground truth",
        ):
            assert heading in page.text
        assert page.open == []

    def test_the_models_boxes_are_dashed_and_named(self, review):
        _, page = review
        dashed = [a for a in page.all("rect") if a.get("stroke-dasharray") == "4 2.5"]
        whole = [a for a in page.all("rect") if a.get("stroke") == "#E69F00" and "stroke-dasharray" not in a]
        assert dashed and whole
        assert {"by the model", "by a person", "dashed: by the model", "boxes by the model", "boxes by a person"} <= set(page.words)

    def test_nothing_is_asked_of_the_network(self, review):
        text, page = review
        for _, attributes in page.elements:
            for name in ("src", "href", "xlink:href"):
                assert attributes.get(name, "#").startswith(("#", "data:image/"))
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert page.all("script") == [] and "@import" not in text

    def test_arms_stand_beside_one_another(self, make_cells, make_cooperative, tmp_path):
        review = [dataclasses.replace(cell, arm="review") for cell in make_cooperative(("dual",), 2)]
        _, page = report([*review, *make_cells(("dual", "random"), 2)], tmp_path)
        assert "cooperation" in [a["id"] for a in page.all("section")]
        assert "labelled any (simulation: judged by ground truth)" in page.text


@pytest.mark.slow
def test_a_large_simulation_stays_below_six_megabytes(make_cells, tmp_path):
    """Ten arms, each choosing 40 large, noisy photographs a round."""
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).resize((640, 480)).save(tmp_path / "photo.jpg")
    cell = make_cells(("dual",), 1)[0]
    items = [{"image_id": f"{i}.png", "utility": 1.0, "terms": {"L_rec": 1.0, "L_det": -1.0}, "split": "train"} for i in range(40)]
    rounds = tuple(made_round(i, {**as_json(r), "select": {"items": items, "strategy": "top_k"}}) for i, r in enumerate(cell.rounds))
    images = {item["image_id"]: tmp_path / "photo.jpg" for item in items}
    cells = [Cell(f"arm{i}", 0, cell.folder, cell.config, cell.classes, rounds, "arm", images, cell.labels) for i in range(10)]
    path = write_report(cells, tmp_path / "large.html", title="large", environment={})
    assert 1e6 < path.stat().st_size < 6e6
