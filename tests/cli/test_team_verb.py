"""`boxwise team`: links are made, listed and revoked from the command line."""

from urllib.parse import parse_qsl, urlsplit

from boxwise.records import Role


def test_links_are_made_listed_and_revoked(boxwise, waiting_study):
    study = waiting_study("full")
    code, out, _ = boxwise("team", study.folder)
    assert code == 0 and "No one has a link" in " ".join(out.split())
    code, out, _ = boxwise("team", study.folder, "--add", "anna", "--role", "reviewer", "--url", "http://lab:8123/", "--by", "lea")
    link = urlsplit(out.split()[-1])
    assert code == 0 and link[:3] == ("http", "lab:8123", "/")
    member = study.team.member(dict(parse_qsl(link.query))["person"])
    assert (member.name, member.role, study.events()[-1].who) == ("anna", Role.REVIEWER, "lea")
    code, out, _ = boxwise("team", study.folder)
    assert code == 0 and "anna" in out and "reviewer" in out
    assert boxwise("team", study.folder, "--revoke", "anna")[0] == 0 and study.team.members() == {}


def test_mistakes_are_one_message(boxwise, waiting_study):
    study = waiting_study("full")
    for arguments in (("--revoke", "anna"), ("--add", " "), ("--add", "anna", "--days", "0"), ("--add", "anna", "--role", "boss")):
        code, _, err = boxwise("team", study.folder, *arguments)
        assert code == 2 and "Traceback" not in err and err
    assert study.team.members() == {}
