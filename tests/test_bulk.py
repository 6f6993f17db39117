"""Stores, people, assignments and quotas by file: what is read, what is refused, and that all or nothing is taken."""

import csv
import io
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services import stores
from services.bulk import importing, tables, writing
from services.bulk.importing import Imported, Preview
from services.bulk.reading import MOST_BYTES, Sheet, read
from services.database import embedded, postgres, supabase
from services.database.door import Database
from services.errors import InvalidInput, NotAllowed, NotFound, TimedOut
from services.profiles import my_stores
from tests.builders import World, fresh_world
from tests.cloud import fake_cloud, rest_door
from tests.fakes.supabase.server import FakeSupabase

STORES = "code,name,city,timezone\n"
PEOPLE = "email,name,role,stores\n"


def sheet(text: str, encoding: str = "utf-8", name: str = "file.csv") -> Sheet:
    return read(name, text.encode(encoding))


def said(text: str) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.column, problem.message) for problem in sheet(text).problems]


class TestReading:
    @pytest.mark.parametrize(
        ("encoding", "named"),
        [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("utf-16-le", "UTF-16-LE"),
         ("utf-16-be", "UTF-16-BE"), ("cp1252", "Windows-1252")],
    )  # fmt: skip
    @pytest.mark.parametrize(("separator", "word"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
    def test_whatever_a_spreadsheet_wrote(self, encoding: str, named: str, separator: str, word: str):
        text = "\r\n".join(separator.join(cells) for cells in (("Code", "NAME"), ("104", "Café “Zoë”"))) + "\r\n"
        found = sheet(text, encoding)
        assert found.rows == [{"row": 2, "code": "104", "name": "Café “Zoë”"}]
        assert (found.kind, found.encoding, found.separator, found.problems) == ("stores", named, word, [])

    def test_quotes_breaks_and_empty_lines(self):
        text = 'sep=;\ncode;name\n104;"Quay; ""old"""\n;;\n105;"Two\nlines"\n'
        assert [(row["row"], row["name"]) for row in sheet(text).rows] == [(2, 'Quay; "old"'), (4, "Two lines")]

    def test_headings_in_other_words(self):
        assert sheet("Store number;Store Name;Cost-Center\n1;Quay;9\n").rows == [
            {"row": 2, "code": "1", "name": "Quay", "cost_centre": "9"}
        ]
        assert sheet("E-Mail,Store\na@b.test,1\n").kind == "assignments"
        assert sheet("store,limit,reason\n1,5,x\n").kind == "quotas"

    @pytest.mark.parametrize(
        ("content", "why"),
        [(b"", "is empty"), (b"\xef\xbb\xbf", "is empty"), (b"code,name\n", "no rows below"),
         (b"code,name,colour\n1,Quay,red\n", 'column "colour" that stores do not have'),
         (b"code,name,name\n1,a,b\n", "column name more than once"),
         (b"what,is,this\n1,2,3\n", "does not say what it holds"),
         (b"code,name\n1,\"open\n", "quotation mark"), (b"PK\x03\x04rest", "is a workbook"),
         (b"\xd0\xcf\x11\xe0x", "is a workbook"),
         (b"code,name\n1,a\x00b\n", "is not a text file"), (b"code,name\n1,\x81\x8d\n", "is damaged"),
         (b"\xff\xfec", "is damaged"), (b"code,name\n" + b"1,x\n" * 5_001, "5,001 rows; 5,000 are taken"),
         (b"code,name\n" + b"x" * MOST_BYTES, "bytes; 1,000,000 are taken")],
    )  # fmt: skip
    def test_what_is_no_table_of_ours_is_said(self, content: bytes, why: str):
        with pytest.raises(InvalidInput, match=why) as told:
            read("file.csv", content)
        assert told.value.field == "files"
        assert str(told.value).startswith("file.csv ")

    @pytest.mark.parametrize(
        ("row", "column", "why"),
        [("1 2,Quay,,", "code", "1 to 16 letters"), (",Quay,,", "code", "is empty"), ("1,,,", "name", "is empty"),
         ("1,Quay,,Mars/Base", "timezone", "such as Europe/London"), ("1,=1+1,,", "name", "as a formula"),
         ("1,Quay,@SUM(A1),", "city", "as a formula"), ("1,+Quay,,", "name", "as a formula"),
         ("1,-Quay,,", "name", "as a formula"), ("1,Quay,,,more", "", "more cells"),
         ("1,Qu\x07ay,,", "name", "cannot be shown")],
    )  # fmt: skip
    def test_a_wrong_cell_is_named(self, row: str, column: str, why: str):
        ((line, where, message),) = said(STORES + "7,Fine,,\n" + row + "\n")
        assert (line, where) == (3, column)
        assert why in message

    @pytest.mark.parametrize(
        ("cell", "read_as"), [("No limit", "0"), ("UNLIMITED", "0"), ("25", "25"), ("$25.50", "25.50"), ("$ 7", "7")]
    )
    def test_limits(self, cell: str, read_as: str):
        assert tables.limit(cell) == read_as

    @pytest.mark.parametrize("cell", ["0", "$0.00", "-5", "1.234", "12,50", "1,000", "NaN", "1e3", "lots", "999999999"])
    def test_limits_that_are_none(self, cell: str):
        with pytest.raises(tables.Unfit):
            tables.limit(cell)

    def test_a_zero_is_asked_about(self):
        ((row, column, message),) = said("store,limit,reason\n1,0,Budget\n")
        assert (row, column) == (2, "limit")
        assert message.startswith("Does 0 mean")

    def test_a_phone_number_may_begin_with_a_plus(self):
        assert sheet("code,name,phone\n1,Quay,+44 117 496\n").rows[0]["phone"] == "+44 117 496"
        assert said("code,name,phone\n1,Quay,=2+3\n")

    def test_people_have_roles_and_stores(self):
        found = sheet(PEOPLE + "a@b.test,Ann,MANAGER,1 2;3|4\nc@d.test,Cy,boss,\n".replace("1 2;3|4", '"1 2;3|4"'))
        assert (found.rows[0]["role"], found.rows[0]["stores"]) == ("manager", ["1", "2", "3", "4"])
        assert [(p.row, p.column) for p in found.problems] == [(3, "role")]


class TestWriting:
    @pytest.mark.parametrize("kind", tables.TABLES)
    def test_a_template_is_a_file_that_can_be_read(self, kind: tables.Kind):
        found = read("template.csv", writing.template(kind))
        assert (found.kind, found.problems, len(found.rows)) == (kind, [], 1)

    @pytest.mark.parametrize("text", ["=1+1", "+44", "-2", "@me", "\t=1", "'=1", "'tis", "plain"])
    def test_no_cell_runs_as_a_formula_and_all_come_back(self, text: str):
        content = writing.to_csv(["code", "name"], [["1", text]])
        (_, (_, cell)) = csv.reader(io.StringIO(content.decode("utf-8-sig")))
        assert not cell.startswith(writing.FORMULA_STARTS)
        assert read("file.csv", content).rows[0]["name"] == text.strip()

    def test_what_is_exported_changes_nothing_when_imported(self, shared_world: World, admin, company: UUID):
        shared_world.store(
            company, "=cmd()", code="1", city="Hull", phone="+44 1", quota="12.50", timezone="Europe/Paris"
        )
        shared_world.store(company, "Gone", code="2", archived_at=datetime.now(UTC))
        records = stores.of_company(admin, company)
        limits = writing.quotas(records).decode("utf-8-sig").replace("12.50,", "12.50,Same")
        seen = look(admin, company, writing.stores(records).decode("utf-8-sig"), limits)
        assert [effect.does for effect in seen.effects] == ["same", "same"]


# Taking -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def company(shared_world: World) -> UUID:
    return shared_world.company(timezone="Europe/London")


@pytest.fixture
def admin(shared_world: World, company: UUID):
    return shared_world.as_person(shared_world.person(company, "admin", name="Ada"))


def look(door, company: UUID, *texts: str) -> Preview:
    sheets, errors = importing.open_files([(f"{n}.csv", text.encode()) for n, text in enumerate(texts)])
    assert errors == []
    return importing.preview(door, company, sheets)


def take(door, company: UUID, *texts: str) -> Imported:
    sheets, errors = importing.open_files([(f"{n}.csv", text.encode()) for n, text in enumerate(texts)])
    assert errors == []
    return importing.take(door, company, sheets, "Opening")


def everything(world: World, company: UUID) -> list[str]:
    """All that an import could change, by company."""
    return [
        str(row)
        for table in ("profiles", "members", "profile_members", "quota_changes", "audit_log")
        for row in world.rows(f"select * from public.{table} where account_id = %s order by 1, 2", company)
    ]


def town(company: UUID) -> tuple[str, str, str, str]:
    """Sixty stores, two hundred people, a second store for forty of them, and every store's limit."""
    mail = f"{company.hex[:6]}.test"
    shops = STORES + "".join(f"{n},Shop {n},City {n},Europe/London\n" for n in range(1, 61))
    people = PEOPLE + "".join(f"p{n}@{mail},Person {n},manager,{n % 60 + 1}\n" for n in range(190))
    people += "".join(f"f{n}@{mail},Finance {n},finance,\n" for n in range(10))
    second = "email,store\n" + "".join(f"p{n}@{mail},{n % 60 + 2}\n" for n in range(40))
    limits = "store,limit,reason\n" + "".join(f"{n},{n}.50,Budget 2027\n" for n in range(1, 61))
    return shops, people, second, limits


class TestTaking:
    def test_sixty_stores_and_two_hundred_people_in_one_go(self, shared_world: World, admin, company: UUID):
        files = town(company)
        seen = look(admin, company, *files)
        assert (seen.problems, seen.changes) == ([], 60 + 200 + 40 + 60)
        done = take(admin, company, *files)
        assert (done.stores, done.people, done.assignments, done.quotas) == (60, 200, 40, 60)
        found = stores.of_company(admin, company)
        assert sum(store.monthly_quota_usd for store in found) == sum(range(1, 61)) + 30
        assert {store.timezone for store in found} == {"Europe/London"}
        works = shared_world.value("select count(*) from public.profile_members where account_id = %s", company)
        assert works == 190 + 40
        assert len({person.link.path.get_secret_value() for person in done.added if person.link}) == 200

    def test_the_same_files_again_change_nothing(self, shared_world: World, admin, company: UUID):
        files = town(company)
        take(admin, company, *files)
        before = everything(shared_world, company)
        assert {effect.does for effect in look(admin, company, *files).effects} == {"same"}
        again = take(admin, company, *files)
        assert (again.stores, again.people, again.assignments, again.quotas, again.added) == (0, 0, 0, 0, [])
        assert everything(shared_world, company) == before

    def test_one_wrong_cell_and_nothing_is_taken(self, shared_world: World, admin, company: UUID):
        shops, people, second, limits = town(company)
        wrong = people.replace("manager,31", "manager,631"), limits.replace("17,17.50", "17,0")
        before = everything(shared_world, company)
        seen = look(admin, company, shops, wrong[0], second, wrong[1])
        found = [(problem.kind, problem.row, problem.column) for problem in seen.problems]
        assert found == [
            ("people", 32, "stores"),
            ("people", 92, "stores"),
            ("people", 152, "stores"),
            ("quotas", 18, "limit"),
        ]
        assert (seen.wrong, seen.effects) == (4, [])
        for files in ((shops, wrong[0], second, limits), (shops, people, second, wrong[1])):
            with pytest.raises(InvalidInput, match="Nothing was changed"):
                take(admin, company, *files)
        assert everything(shared_world, company) == before

    def test_every_change_is_noted_with_the_reason(self, shared_world: World, admin, company: UUID):
        take(admin, company, *town(company))
        shared_world.store(company, "Old", code="900")
        person = shared_world.person(company, "manager", shared_world.store(company, code="901"))
        email = shared_world.value("select email from public.people where id = %s", person)
        take(admin, company, "code,name\n900,New\n", f"email,store\n{email},900\n")
        noted = shared_world.rows(
            "select action, count(*) as n, array_agg(distinct reason) as reasons,"
            " array_agg(distinct person_name) as who from public.audit_log where account_id = %s group by action",
            company,
        )
        assert {row["action"]: (row["n"], row["reasons"]) for row in noted} == {
            "store_created": (60, ["Opening"]),
            "person_added": (200, ["Opening"]),
            "quota_changed": (60, ["Budget 2027"]),
            "store_changed": (1, ["Opening"]),
            "stores_assigned": (1, ["Opening"]),
            "imported": (2, ["Opening"]),
        }
        assert {name for row in noted for name in row["who"]} == {"Ada"}
        query = "select * from public.audit_log where account_id = %s and action = %s and subject = %s"
        (changed,) = shared_world.rows(query, company, "store_changed", "New")
        assert (changed["before"], changed["after"]) == ({"name": "Old"}, {"name": "New"})
        (added,) = shared_world.rows(query, company, "person_added", f"p0@{company.hex[:6]}.test")
        assert added["after"] == {"role": "manager", "stores": ["1 · Shop 1", "2 · Shop 2"]}

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
    def test_a_reason_is_needed(self, shared_world: World, admin, company: UUID, reason: str):
        sheets, _ = importing.open_files([("stores.csv", b"code,name\n1,Quay\n")])
        with pytest.raises(InvalidInput) as refused:
            importing.take(admin, company, sheets, reason)
        assert refused.value.field == "reason"
        assert stores.of_company(admin, company) == []

    def test_each_new_store_has_an_address_of_its_own(self, shared_world: World, admin, company: UUID):
        for code, slug in (("1", "shop"), ("2", "shop-2"), ("3", "bar-7")):
            shared_world.store(company, code=code, slug=slug)
        names = ["Shop", "Bar", "Bar", "Shop 3", "All", "—", "Bar 7", "Foo 2", "Foo", "Foo"]
        take(admin, company, "code,name\n" + "".join(f"n{n},{name}\n" for n, name in enumerate(names)))
        rows = shared_world.rows("select code, slug from public.profiles where account_id = %s", company)
        found = {row["code"]: row["slug"] for row in rows}
        assert [found[f"n{n}"] for n in range(len(names))] == [
            "shop-4", "bar", "bar-8", "shop-3", "store-all", "store", "bar-7-2", "foo-2", "foo", "foo-3",
        ]  # fmt: skip

    def test_who_works_elsewhere_is_let_in_beside_the_new_ones(self, shared_world: World, admin, company: UUID):
        other = shared_world.company()
        known = shared_world.person(other, "manager", shared_world.store(other))
        email = shared_world.password(known, "a better password")
        people = f"new@{company}.test,New,finance,\n{email},Somebody,manager,1\nlast@{company}.test,Last,finance,\n"
        added = {
            person.email: person.link for person in take(admin, company, STORES + "1,Quay,,\n", PEOPLE + people).added
        }
        assert {address: link is not None for address, link in added.items()} == {
            f"new@{company}.test": True, f"last@{company}.test": True, email: False,
        }  # fmt: skip
        assert [store.code for store in my_stores(shared_world.as_person(known), company)] == ["1"]

    def test_who_waits_for_another_company_s_link_is_named(self, shared_world: World, admin, company: UUID):
        waiting = shared_world.person(shared_world.company(), "finance")
        email = shared_world.value("select email from public.people where id = %s", waiting)
        (problem,) = look(admin, company, PEOPLE + f"{email},Somebody,finance,\n").problems
        assert (problem.row, problem.column) == (2, "email")
        assert problem.message.startswith("Another company's invitation")

    def test_the_demo_invites_nobody(self, server: embedded.Server, template: str):
        with fresh_world(server, template, 2) as world:
            demo = world.company(is_demo=True)
            door = world.as_person(world.person(demo, "admin"))
            with pytest.raises(NotAllowed, match="demo company invites nobody"):
                take(door, demo, PEOPLE + "new@example.test,New,finance,\n")
            assert take(door, demo, "code,name\n1,Quay\n").stores == 1

    def test_a_limit_below_what_is_used_is_told_of(self, shared_world: World, admin, company: UUID):
        store = shared_world.store(company, code="1")
        shared_world.spend(store, "9.50")
        for limit, told in (("10", [90]), ("20", []), ("5", [100])):
            take(admin, company, f"store,limit,reason\n1,{limit},Budget\n")
            shared_world.as_worker().call("look_at_alerts", p_account_id=company)
            open_ones = shared_world.rows(
                "select facts from public.notices where profile_id = %s and resolved_at is null"
                " and not facts ? 'resolved'",
                store,
            )
            assert [row["facts"]["percent"] for row in open_ones] == told

    def test_thousands_are_taken_within_a_statement_s_time(self, admin, company: UUID):
        mail = f"{company.hex[:6]}.test"
        shops = STORES + "".join(f"{n},Harbour Bakery,,\n" for n in range(200))
        people = PEOPLE + "".join(f"p{n}@{mail},Person {n},manager,{n % 200}\n" for n in range(1_800))
        done = take(admin, company, shops, people)
        assert (done.stores, done.people, len(done.added)) == (200, 1_800, 1_800)

    def test_a_link_lets_the_new_person_in(self, shared_world: World, admin, company: UUID):
        (added,) = take(admin, company, STORES + "1,Quay,,\n", PEOPLE + f"mia@{company}.test,Mia,manager,1\n").added
        assert (added.name, added.mailed) == ("Mia", False)
        token = added.link.path.get_secret_value().partition("token_hash=")[2].partition("&")[0]
        assert token not in repr(added)
        (kept,) = shared_world.rows(
            "select i.* from private.invitations i join public.people p on p.id = i.person_id where p.email = %s",
            added.email,
        )
        assert kept["token_hash"] != token
        assert kept["expires_at"] == added.link.expires_at

    def test_stores_are_known_by_number_and_keep_what_is_not_given(self, shared_world: World, admin, company: UUID):
        store = shared_world.store(company, "Quay", code="A1", city="Hull", phone="123", timezone="Europe/Paris")
        seen = look(admin, company, "code,name,city\na1,Quay North,\n")
        (effect,) = seen.effects
        assert (effect.does, effect.before, effect.after) == ("changed", {"name": "Quay"}, {"name": "Quay North"})
        take(admin, company, "code,name,city\na1,Quay North,\n")
        (found,) = stores.of_company(admin, company)
        assert (found.id, found.code, found.name, found.city, found.phone) == (store, "A1", "Quay North", "Hull", "123")
        assert found.version == 2

    def test_new_stores_take_the_companys_zone_and_limit(self, admin, company: UUID):
        values = {"name": "B", "timezone": "Europe/Rome", "new_store_quota": Decimal(7)}
        stores.save_company(admin, company, **values, version=1, reason="Budget")
        take(admin, company, "code,name\n1,Quay\n")
        (found,) = stores.of_company(admin, company)
        assert (found.timezone, found.monthly_quota_usd) == ("Europe/Rome", Decimal(7))

    def test_people_who_are_here_are_given_stores_and_keep_their_others(
        self, shared_world: World, admin, company: UUID
    ):
        first, second = shared_world.store(company, code="1"), shared_world.store(company, code="2")
        person = shared_world.person(company, "manager", first, name="Mia")
        email = shared_world.value("select email from public.people where id = %s", person)
        done = take(admin, company, PEOPLE + f"{email.upper()},Maria,manager,2\n")
        assert (done.people, done.added) == (1, [])
        assert {store.id for store in my_stores(shared_world.as_person(person), company)} == {first, second}
        query = "select after from public.audit_log where account_id = %s and action = 'stores_assigned'"
        assert shared_world.value(query, company) == {"stores": ["2"]}

    @pytest.mark.parametrize(
        ("files", "where", "why"),
        [
            (["code,name\n1,Quay\n1,Hill\n"], ("stores", 2, "code"), "more than once"),
            (["code,name\n9,Back\n"], ("stores", 2, "code"), "is archived. Bring it back"),
            (["store,limit,reason\n4,5,x\n"], ("quotas", 2, "store"), "no store with the number 4"),
            (["store,limit,reason\n9,5,x\n"], ("quotas", 2, "store"), "no store with the number 9"),
            (["store,limit,reason\n5,5,x\n5,6,x\n"], ("quotas", 2, "store"), "more than once"),
            (["email,store\nnobody@example.test,5\n"], ("assignments", 2, "email"), "Nobody with this address"),
            (["email,store\nFIN,5\n"], ("assignments", 2, "email"), "finance sees all"),
            (["email,store\nMIA,4\n"], ("assignments", 2, "store"), "no store with the number 4"),
            ([PEOPLE + "MIA,Mia,admin,\n"], ("people", 2, "role"), "Is manager here. Roles are changed under People"),
            ([PEOPLE + "GONE,Gus,manager,5\n"], ("people", 2, "email"), "is deactivated"),
            ([PEOPLE + "new@example.test,New,manager,\n"], ("people", 2, "stores"), "at least one store"),
            ([PEOPLE + "new@example.test,New,finance,5\n"], ("people", 2, "stores"), "finance sees all"),
            ([PEOPLE + "new.example.test,New,finance,\n"], ("people", 2, "email"), "not an e-mail address"),
            ([PEOPLE + "n@e.test,N,finance,\nN@E.test,N,finance,\n"], ("people", 2, "email"), "more than once"),
        ],
    )
    def test_what_does_not_fit_what_there_is(
        self, shared_world: World, admin, company: UUID, files: list[str], where: tuple, why: str
    ):
        five = shared_world.store(company, code="5")
        shared_world.store(company, code="9", archived_at=datetime.now(UTC))
        names = {"MIA": ("manager", [five]), "FIN": ("finance", []), "GONE": ("manager", [five])}
        for name, (role, places) in names.items():
            person = shared_world.person(company, role, *places)
            if name == "GONE":
                shared_world.execute("update public.people set deactivated_at = now() where id = %s", person)
            email = shared_world.value("select email from public.people where id = %s", person)
            files = [text.replace(name, email) for text in files]
        before = everything(shared_world, company)
        seen = look(admin, company, *files)
        problem = seen.problems[0]
        assert (problem.kind, problem.row, problem.column) == where
        assert why in problem.message
        with pytest.raises(InvalidInput, match="Nothing was changed"):
            take(admin, company, *files)
        assert everything(shared_world, company) == before

    def test_two_files_of_a_kind_and_too_many_rows_are_refused(self):
        many = "code,name\n" + "".join(f"{n},x\n" for n in range(3_000))
        limits = "store,limit,reason\n" + "".join(f"{n},1,x\n" for n in range(3_000))
        _, errors = importing.open_files([("a.csv", b"code,name\n1,x\n"), ("b.csv", b"code,name\n2,x\n")])
        assert [str(error) for error in errors] == ["b.csv and a.csv both hold stores. Put them into one file."]
        _, errors = importing.open_files([("a.csv", many.encode()), ("b.csv", limits.encode())])
        assert [str(error) for error in errors] == ["The files have 6,000 rows; 5,000 are taken at once."]

    def test_the_database_refuses_too_many_rows_too(self, admin, company: UUID):
        rows = {"stores": [{"row": n, "code": str(n), "name": "x"} for n in range(5_001)]}
        for function in ("check_import", "import_rows"):
            with pytest.raises(InvalidInput, match="At most 5,000 rows"):
                admin.call(function, p_account_id=company, p_rows=rows)

    @pytest.mark.parametrize(
        "rows", [{}, {"stores": "x"}, {"stores": [{}]}, {"people": [{"row": 2, "stores": "x"}]}, []]
    )
    def test_rows_of_another_shape_harm_nothing(self, shared_world: World, admin, company: UUID, rows):
        before = everything(shared_world, company)
        assert admin.call("check_import", p_account_id=company, p_rows=rows)["effects"] == []
        assert everything(shared_world, company) == before

    def test_more_than_one_call_can_take_is_said_and_changes_nothing(
        self, shared_world: World, admin, company: UUID, monkeypatch
    ):
        monkeypatch.setitem(postgres.STATEMENT_TIMEOUT, "authenticated", "20ms")
        with pytest.raises(TimedOut, match="nothing was changed"):
            take(admin, company, *town(company))
        assert shared_world.rows("select from public.profiles where account_id = %s", company) == []

    def test_two_at_once_both_end_well(self, shared_world: World, admin, company: UUID):
        files, done = town(company), []
        threads = [threading.Thread(target=lambda: done.append(take(admin, company, *files))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(found.stores for found in done) == [0, 0, 60]
        assert len(stores.of_company(admin, company)) == 60

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_only_admins(self, shared_world: World, company: UUID, role: str):
        door = shared_world.as_person(shared_world.person(company, role))
        for does in (look, take):
            with pytest.raises(NotAllowed, match="Only an admin imports"):
                does(door, company, "code,name\n1,Quay\n")

    def test_strangers_find_no_company(self, shared_world: World, company: UUID):
        stranger = shared_world.as_person(shared_world.person(shared_world.company(), "admin"))
        for does in (look, take):
            with pytest.raises(NotFound):
                does(stranger, company, "code,name\n1,Quay\n")


class TestOverRest:
    """The same by way of a Supabase project, where the sign-in service mails the invitations."""

    @pytest.fixture
    def project(self, server: embedded.Server, shared_world: World) -> Iterator[FakeSupabase]:
        with fake_cloud(server, shared_world.admin.info.dbname) as running:
            yield running

    @pytest.fixture
    def admin(self, project: FakeSupabase, shared_world: World, company: UUID) -> Iterator[Database]:
        person = shared_world.person(company, "admin", name="Ada")
        with supabase.open_http(20) as http:
            yield rest_door(project, http, person)

    def test_sixty_stores_and_two_hundred_people_in_one_go(self, shared_world: World, admin, company: UUID):
        files = town(company)
        assert look(admin, company, *files).changes == 60 + 200 + 40 + 60
        done = take(admin, company, *files)
        assert (done.stores, done.people, done.assignments, done.quotas) == (60, 200, 40, 60)
        assert len(stores.of_company(admin, company)) == 60
        assert {(person.mailed, person.link) for person in done.added} == {(True, None)}
        assert shared_world.value("select count(*) from public.members where account_id = %s", company) == 1
        invited = "select input ->> 'email' as email from public.jobs where kind = 'invite' and account_id = %s"
        assert {row["email"] for row in shared_world.rows(invited, company)} == {person.email for person in done.added}

    def test_again_meanwhile_invites_nobody_twice(self, shared_world: World, admin, company: UUID):
        files = town(company)
        take(admin, company, *files)
        before = everything(shared_world, company)
        assert {effect.does for effect in look(admin, company, *files).effects if effect.kind == "people"} == {
            "invited"
        }
        assert take(admin, company, *files).added == []
        assert everything(shared_world, company)[:60] == before[:60]
        assert shared_world.value("select count(*) from public.jobs where account_id = %s", company) == 200

    def test_who_was_mailed_works_in_the_stores_of_both_files(self, shared_world: World, admin, company: UUID):
        shared_world.execute("update public.jobs set status = 'cancelled' where status = 'pending'")
        mail = f"mia@{company}.test"
        second = f"email,store\n{mail},2\n"
        take(admin, company, STORES + "1,Quay,,\n2,Hill,,\n", PEOPLE + f"{mail},Mia,manager,1\n", second)
        worker, mia = shared_world.as_worker(), uuid4()
        job = worker.call("claim_job", p_worker="w", p_kinds=["invite"], p_lease_seconds=Decimal(30))
        worker.call("save_invited", p_job_id=job["id"], p_attempt_token=job["attempt_token"], p_person_id=mia)
        assert [store.code for store in my_stores(shared_world.as_person(mia), company)] == ["1", "2"]
        query = "select reason from public.audit_log where account_id = %s and action = 'person_added'"
        assert shared_world.value(query, company) == "Opening"

    def test_one_wrong_cell_and_nothing_is_taken(self, shared_world: World, admin, company: UUID):
        shops, people, second, limits = town(company)
        people = people.replace("manager,31", "manager,631")
        before = everything(shared_world, company)
        assert look(admin, company, shops, people, second, limits).wrong == 3
        with pytest.raises(InvalidInput, match="Nothing was changed"):
            take(admin, company, shops, people, second, limits)
        assert everything(shared_world, company) == before

    def test_others_are_refused(self, project: FakeSupabase, shared_world: World, company: UUID):
        stranger = shared_world.person(shared_world.company(), "admin")
        finance = shared_world.person(company, "finance")
        with supabase.open_http(20) as http:
            for does in (look, take):
                with pytest.raises(NotFound):
                    does(rest_door(project, http, stranger), company, "code,name\n1,Quay\n")
                with pytest.raises(NotAllowed, match="Only an admin imports"):
                    does(rest_door(project, http, finance), company, "code,name\n1,Quay\n")
