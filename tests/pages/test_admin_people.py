"""The Admin page's people: invited, found, changed, stopped and let go."""

import csv
import io
from typing import Any
from uuid import UUID

import pytest
from streamlit.runtime.scriptrunner import RerunData, get_script_run_ctx
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Element

from services import identity, people
from services.config import settings
from services.errors import Unavailable
from tests.builders import World
from tests.pages.conftest import Opened, half_a_minute_later, texts
from ui import admin_people, invitation_links

PASSWORD = "correct horse battery"
CHANGE, END = "Reason for the change", "Reason to deactivate or remove"
REASONS = [(" ", "Say why, so that the log can tell later."), ("x" * 501, "A reason has at most 500 characters.")]


class Bakery:
    """A company of Ada (admin) and Mia (manager of the first of two stores), with Ada at its Admin page."""

    def __init__(self, world: World, open_page: Opened) -> None:
        self.world, self.open_page = world, open_page
        self.account = world.company()
        self.quay, self.hill = (
            world.store(self.account, "Quay", code="001"),
            world.store(self.account, "Hill", code="2"),
        )
        self.ada = world.person(self.account, "admin", name="Ada")
        self.mia = world.person(self.account, "manager", self.quay, name="Mia")
        self.email = world.password(self.mia, PASSWORD)

    def page(self, person: UUID | None = None) -> AppTest:
        return self.open_page(person or self.ada, "admin", part="People")

    def role(self, person: UUID) -> str:
        rows = self.world.rows("select role from public.members where person_id = %s", person)
        return rows[0]["role"] if rows else "none"

    def log(self) -> list[str]:
        """Reasons of what was done to members."""
        query = "select reason from public.audit_log where account_id = %s and action like 'person_%%' order by id"
        return [row["reason"] for row in self.world.rows(query, self.account)]


@pytest.fixture
def bakery(desk: World, open_page: Opened) -> Bakery:
    return Bakery(desk, open_page)


def click_meanwhile() -> None:
    """As from the browser, while a run is at work: that run ends at its next word to Streamlit."""
    context = get_script_run_ctx()
    assert context is not None
    assert context.script_requests is not None
    context.script_requests.request_rerun(RerunData(page_script_hash=context.page_script_hash))


def press(test: AppTest, label: str) -> AppTest:
    return next(b for b in test.button if b.label == label).click().run()


def field(test: AppTest, label: str) -> Any:
    return next(one for kind in (test.text_input, test.radio, test.multiselect) for one in kind if one.label == label)


def fill(test: AppTest, name: str, email: str) -> None:
    field(test, "Name").set_value(name)
    field(test, "E-mail").set_value(email)


def invite(test: AppTest, name: str = "Fin", email: str = "fin@example.test") -> AppTest:
    fill(test, name, email)
    field(test, "Role").set_value("finance")
    return press(test, "Make invitation link")


def edit(test: AppTest, person: UUID) -> AppTest:
    return test.button(key=f"edit_{person}").click().run()


def error_below(test: AppTest, label: str) -> str:
    """The error that stands right below the last field of this name."""
    drawn = [node for node in test._tree if isinstance(node, Element)]
    place = max(i for i, node in enumerate(drawn) if getattr(node, "label", None) == label)
    assert drawn[place + 1].type == "error", drawn[place + 1]
    return str(drawn[place + 1].value)


def tick(test: AppTest) -> AppTest:
    return next(box for box in test.checkbox if box.label == "I am sure").check().run()


class TestInvite:
    def test_the_link_is_shown_until_it_was_noted(self, bakery):
        test = invite(bakery.page())
        (link,) = (code.value for code in test.code)
        token = link.split("token_hash=")[1].split("&")[0]
        assert link.endswith("&type=invite")
        assert "Fin, fin@example.test: until" in texts(test)
        test.run()
        assert [code.value for code in test.code] == [link]
        press(test, "I have noted it")
        assert not test.code
        assert "Invited until" in texts(test)
        assert identity.load(identity.accept(token, "invite", PASSWORD, address=None, agent="")).name == "Fin"

    @pytest.mark.parametrize("state", ["takes it", "is away"])
    def test_with_a_mail_server_it_is_mailed_too(self, bakery, monkeypatch, state):
        sent = []

        def mail_link(email: str, subject: str, text: str) -> bool:
            sent.append((email, subject, text))
            if state == "is away":
                raise Unavailable("The mail server does not answer.")
            return True

        monkeypatch.setattr(people, "mail_link", mail_link)
        monkeypatch.setenv("SITE_URL", "https://desk.example.test")
        settings.cache_clear()
        test = invite(bakery.page())
        ((email, subject, text),) = sent
        assert (email, subject) == ("fin@example.test", "Your invitation to Clipdesk")
        assert test.code[0].value.startswith("https://desk.example.test/welcome?token_hash=")
        assert test.code[0].value in text
        assert "Ada invites you to work for Harbour Bakery" in text
        said = "mailed to fin@example.test" if state == "takes it" else "could not be mailed: The mail server does not"
        assert said in texts(test)

    def test_the_demo_invites_nobody(self, bakery, monkeypatch):
        bakery.world.execute("update public.accounts set is_demo = true")
        monkeypatch.setattr(people, "mail_link", lambda *_: pytest.fail("a mail left this machine"))
        test = invite(bakery.page())
        assert not test.code
        assert "its people are made up" in texts(test)

    def test_a_second_click_does_not_lose_the_link(self, bakery):
        test = invite(bakery.page())
        link = test.code[0].value
        press(test, "Make invitation link")
        assert test.code[0].value == link

    def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(self, bakery):
        test = bakery.page()
        fill(test, "Ben", "ben@example.test")
        press(test, "Make invitation link")
        assert "at least one store" in texts(test)
        assert field(test, "Name").value == "Ben"
        field(test, "Stores (managers only)").set_value([str(bakery.quay)])
        field(test, "E-mail").set_value(bakery.email)
        press(test, "Make invitation link")
        assert "already exists" in texts(test)
        assert not test.code

    def test_a_reason_that_is_too_long_is_said_below_it_and_a_good_one_is_logged(self, bakery):
        test = bakery.page()
        field(test, "Reason (may be left out)").set_value("x" * 501)
        invite(test)
        assert error_below(test, "Reason (may be left out)") == "A reason has at most 500 characters."
        assert (field(test, "Name").value, len(test.code), bakery.log()) == ("Fin", 0, [])
        field(test, "Reason (may be left out)").set_value("Holiday cover")
        press(test, "Make invitation link")
        assert (len(test.code), bakery.log()) == (1, ["Holiday cover"])

    def test_after_an_import_all_links_are_made_at_once(self, bakery):
        for number in range(3):
            bakery.world.as_person(bakery.ada).call(
                "add_or_invite", p_account_id=bakery.account,
                p_person={"name": f"=New {number}", "email": f"new{number}@example.test", "role": "finance"},
            )  # fmt: skip
        test = bakery.page()
        assert texts(test).count("Invited; needs a new link") == 3
        press(test, "Make links for 3 people who need one")
        links = [code.value for code in test.code]
        assert len(set(links)) == 3
        handed = test.session_state[admin_people.HANDED]
        rows = list(csv.DictReader(io.StringIO(invitation_links.as_csv(handed).decode("utf-8-sig"))))
        assert [row["link"] for row in rows] == links
        assert rows[0]["name"] == "'=New 0"
        press(test, "I have noted it")
        assert "needs a new link" not in texts(test)

    def test_invited_people_whose_links_were_lost_get_new_ones(self, bakery):
        test = press(invite(bakery.page()), "I have noted it")
        press(invite(test, "Ben", "ben@example.test"), "I have noted it")
        assert "people_links" not in keys(test)
        next(box for box in test.checkbox if box.label.startswith("New links also for 2")).check().run()
        press(test, "Make links for 2 people who need one")
        assert len({code.value for code in test.code}) == 2

    def test_a_click_while_the_link_is_made_does_not_lose_it(self, bakery, monkeypatch):
        real = people.invite

        def interrupted(*arguments: Any, **values: Any) -> people.Outcome:
            made = real(*arguments, **values)
            click_meanwhile()
            return made

        monkeypatch.setattr(people, "invite", interrupted)
        test = invite(bakery.page())
        assert next(code.value for code in test.run().code).endswith("&type=invite")

    def test_the_form_is_another_one_after_an_invitation(self, bakery):
        test = bakery.page()
        before = field(test, "Name").proto.id
        press(invite(test), "I have noted it")
        assert field(test, "Name").value == ""
        assert field(test, "Name").proto.id != before, "the browser keeps what was typed into one of the same id"


class TestList:
    def test_says_who_they_are(self, bakery):
        test = bakery.page()
        for words in ("Mia", bakery.email, "Manager\n001 · Quay", "Not signed in yet", "Signed in"):
            assert words in texts(test), words

    @pytest.mark.parametrize(("typed", "found"), [("mia", {"Mia"}), ("QUAY manager", {"Mia"}), ("admin", {"Ada"}),
                                                  ("nobody", set()), ("example.test", {"Ada", "Mia"})])  # fmt: skip
    def test_is_searched(self, bakery, typed, found):
        test = bakery.page()
        field(test, "Search people").set_value(typed).run()
        shown = {name for name, one in (("Ada", bakery.ada), ("Mia", bakery.mia)) if f"edit_{one}" in keys(test)}
        assert shown == found
        assert ("Nobody matches" in texts(test)) is not bool(found)

    def test_a_page_has_twenty(self, bakery):
        for number in range(25):
            bakery.world.person(bakery.account, "finance", name=f"Person {number:02}")
        assert len([key for key in keys(bakery.page()) if key.startswith("edit_")]) == 20

    def test_names_are_no_markup(self, bakery):
        bakery.world.execute("update public.people set name = '**:red[x]**' where id = %s", bakery.mia)
        test = edit(bakery.page(), bakery.mia)
        assert not [m.value for m in test.markdown if "red[x]" in str(m.value)]

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_is_for_admins(self, bakery, role):
        person = bakery.world.person(bakery.account, role, *([bakery.quay] if role == "manager" else []))
        test = bakery.page(person)
        assert "Your role does not open this page" in texts(test)
        assert bakery.email not in texts(test)


def keys(test: AppTest) -> set[str]:
    return {button.key for button in test.button}


class TestEdit:
    def test_role_and_stores(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        test.multiselect(key=f"stores_{bakery.mia}_1").set_value([str(bakery.hill)])
        field(test, CHANGE).set_value("Hill needs her")
        press(test, "Save role and stores")
        assert "Manager\n2 · Hill" in texts(test)
        assert not test.exception
        edit(test, bakery.mia)
        test.radio(key=f"role_{bakery.mia}_2").set_value("finance")
        field(test, CHANGE).set_value("Books instead of bread")
        press(test, "Save role and stores")
        assert bakery.role(bakery.mia) == "finance"

    def test_who_saves_second_is_told(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        bakery.world.execute("update public.members set role = 'finance' where person_id = %s", bakery.mia)
        half_a_minute_later()
        field(test, CHANGE).set_value("Hill needs her")
        test.multiselect(key=f"stores_{bakery.mia}_1").set_value([str(bakery.hill)])
        press(test, "Save role and stores")
        assert "Somebody saved this meanwhile" in texts(test)
        assert bakery.role(bakery.mia) == "finance"

    def test_ones_own_is_left_to_others(self, bakery):
        test = edit(bakery.page(), bakery.ada)
        assert "Nobody changes their own role" in texts(test)
        assert not {"member_remove", "member_deactivate", "member_reset"} & keys(test)

    def test_deactivate_is_confirmed_and_undone(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        assert test.button(key="member_deactivate").disabled
        tick(test)
        field(test, END).set_value("On leave")
        test.button(key="member_deactivate").click().run()
        assert "Deactivated" in texts(test)
        edit(test, bakery.mia)
        field(test, "Reason to reactivate or remove").set_value("She is back")
        test.button(key="member_reactivate").click().run()
        assert "Deactivated" not in texts(test)
        log = texts(bakery.open_page(bakery.ada, "audit"))
        assert "Reason: On leave" in log
        assert "Reason: She is back" in log

    def test_remove_is_confirmed(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        assert test.button(key="member_remove").disabled
        field(tick(test), END).set_value("She left")
        test.button(key="member_remove").click().run()
        assert bakery.role(bakery.mia) == "none"
        assert bakery.email not in texts(test)

    def test_an_invitation_is_renewed_and_withdrawn(self, bakery):
        test = press(invite(bakery.page()), "I have noted it")
        fin = bakery.world.value("select id from public.people where name = 'Fin'")
        edit(test, fin)
        assert not {"member_reset", "member_deactivate", "member_out"} & keys(test)
        test.button(key="member_renew").click().run()
        assert test.code[0].value.endswith("&type=invite")
        press(test, "I have noted it")
        tick(edit(test, fin))
        press(test, "Withdraw invitation")
        assert "Say why" in texts(test)
        field(test, "Reason to withdraw the invitation").set_value("A wrong address")
        press(test, "Withdraw invitation")
        assert bakery.role(fin) == "none"

    def test_a_password_is_reset_by_a_link(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        test.button(key="member_reset").click().run()
        assert test.code[0].value.endswith("&type=recovery")

    def test_signed_out_everywhere(self, bakery):
        secret = identity.open_session(bakery.mia, address=None, agent="")
        test = edit(bakery.page(), bakery.mia)
        test.button(key="member_out").click().run()
        identity.sessions.clear()
        assert identity.load(secret) is None

    @pytest.mark.parametrize(("typed", "said"), REASONS)
    def test_a_missing_reason_to_change_somebody_is_said_below_it_and_nothing_is_lost(self, bakery, typed, said):
        test = edit(bakery.page(), bakery.mia)
        stores = test.multiselect(key=f"stores_{bakery.mia}_1").set_value([str(bakery.hill)])
        field(test, CHANGE).set_value(typed)
        press(test, "Save role and stores")
        assert (error_below(test, CHANGE), len(test.error)) == (said, 1)
        assert (field(test, CHANGE).value, bakery.log()) == (typed, [])
        assert test.multiselect(key=stores.key).value == [str(bakery.hill)]
        field(test, CHANGE).set_value("The rota changed")
        press(test, "Save role and stores")
        assert bakery.log() == ["The rota changed"]
        assert "2 · Hill" in texts(test)

    @pytest.mark.parametrize(("typed", "said"), REASONS)
    @pytest.mark.parametrize("label", ["Deactivate", "Remove from company"])
    def test_a_missing_reason_to_let_somebody_go_is_said_below_it_and_nothing_is_lost(
        self, bakery, label, typed, said
    ):  # fmt: skip
        test = tick(edit(bakery.page(), bakery.mia))
        field(test, END).set_value(typed)
        press(test, label)
        assert (error_below(test, END), len(test.error)) == (said, 1)
        assert (field(test, END).value, bakery.role(bakery.mia), bakery.log()) == (typed, "manager", [])
        test.run()
        assert not test.error
        field(test, END).set_value("The rota changed")
        press(test, label)
        assert bakery.log() == ["The rota changed"]

    def test_a_manager_without_a_store_is_said_below_the_stores(self, bakery):
        test = edit(bakery.page(), bakery.mia)
        test.multiselect(key=f"stores_{bakery.mia}_1").set_value([])
        field(test, CHANGE).set_value("None is left")
        press(test, "Save role and stores")
        assert error_below(test, "Stores (managers only)") == "A manager works in at least one store."
        assert field(test, CHANGE).value == "None is left"

    def test_a_refusal_stays_in_the_dialog(self, bakery):
        elsewhere = bakery.world.company()
        bakery.world.insert("public.members", account_id=elsewhere, person_id=bakery.mia, role="finance")
        test = edit(bakery.page(), bakery.mia)
        test.button(key="member_reset").click().run()
        assert "another company too" in texts(test)
        assert "member_reset" in keys(test)
