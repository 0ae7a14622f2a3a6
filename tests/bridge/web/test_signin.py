"""Signing in: by password, or by a link that works once."""

from __future__ import annotations

from sqlalchemy import func, select

from bridge.store import people
from bridge.store.schema import sessions, sign_in_links
from tests.bridge.web.visitors import PASSWORD, Site


def _link(site: Site, name: str = "zhao") -> str:
    def work(connection):
        people.add_user(connection, name, "responder", site.bridge.now())
        return people.new_link(connection, name, site.bridge.now())

    return f"/sign-in/{site.bridge.database.run(work)}"


def _count(site: Site, *where) -> int:
    with site.bridge.database.reading() as connection:
        return connection.execute(select(func.count()).where(*where)).scalar_one()


def test_opening_a_link_changes_nothing(site: Site):
    link = _link(site)
    for _ in range(3):  # mail scanners open links, too
        assert "zhao" in site.visitor().page(link)
    assert _count(site, sign_in_links.c.used_at.is_not(None)) == 0
    assert _count(site, sessions.c.user == "zhao") == 0


def test_a_link_sets_the_password_signs_in_and_is_used_up(site: Site):
    link = _link(site)
    visitor = site.visitor()
    answer = visitor.send(link, password=PASSWORD)
    assert (answer.status_code, answer.location) == (302, "/")
    assert "All quiet" in visitor.page("/")
    assert "used or has expired" in site.visitor().page(link, 404)
    assert site.visitor().send(link, password="another password").status_code == 404
    assert site.visitor().send("/sign-in", name="zhao", password=PASSWORD).status_code == 302


def test_a_link_ends_after_a_day(site: Site, clock):
    link = _link(site)
    clock.forward(hours=25)
    assert site.visitor().client.get(link).status_code == 404


def test_a_short_password_is_refused_and_the_link_still_works(site: Site):
    link = _link(site)
    visitor = site.visitor()
    answer = visitor.send(link, password="short")
    assert answer.status_code == 400
    assert "at least 12 characters" in answer.text
    assert visitor.send(link, password=PASSWORD).status_code == 302


def test_a_wrong_password_and_an_unknown_name_get_the_same_words(site: Site):
    site.person("wang")
    wrong = site.visitor().send("/sign-in", name="wang", password="not this one, sir")
    unknown = site.visitor().send("/sign-in", name="nobody", password="not this one, sir")
    assert wrong.status_code == unknown.status_code == 403
    assert "That did not work" in wrong.text
    assert wrong.text.count("\n") == unknown.text.count("\n")


def test_after_ten_failures_even_the_right_password_waits(site: Site, clock):
    site.person("wang")
    for _ in range(10):
        site.visitor().send("/sign-in", name="wang", password="not this one, sir")
    assert site.visitor().send("/sign-in", name="wang", password=PASSWORD).status_code == 403
    clock.forward(minutes=16)
    assert site.visitor().send("/sign-in", name="wang", password=PASSWORD).status_code == 302


def test_signing_out_ends_the_session_everywhere(site: Site):
    visitor = site.person()
    stolen = visitor.client.get_cookie("__Host-opsbridge", domain="localhost")
    assert visitor.send("/sign-out").status_code == 302
    assert stolen
    thief = site.app.test_client()
    thief.set_cookie("__Host-opsbridge", stolen.value, domain="localhost")
    assert thief.get("/").location.startswith("/sign-in")


def test_a_form_without_its_token_is_refused(site: Site):
    site.person("wang")
    answer = site.app.test_client().post("/sign-in", data={"name": "wang", "password": PASSWORD})
    assert answer.status_code == 400
    assert "load the page again" in answer.text


def test_the_pages_speak_the_browsers_language_before_sign_in(site: Site):
    client = site.app.test_client()
    assert "登录" in client.get("/sign-in", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert "Sign in" in client.get("/sign-in", headers={"Accept-Language": "fr"}).text
