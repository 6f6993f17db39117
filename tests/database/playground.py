"""A table and functions on which a door can show everything it does."""

import threading
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from services.database.door import Row
from tests.builders import World

PLAYGROUND = """
create table public.shelf_items (
    id     uuid primary key default gen_random_uuid(),
    owner  uuid not null,
    place  bigint not null,
    label  text check (label <> 'forbidden'),
    amount numeric(18,6) not null default 0,
    put_at timestamptz,
    extra  jsonb,
    kept   boolean,
    unique (owner, place)
);
alter table public.shelf_items enable row level security;
grant select, insert, update, delete on public.shelf_items to authenticated;
create policy "owners read" on public.shelf_items for select to authenticated using (owner = (select auth.uid()));
create policy "owners add" on public.shelf_items for insert to authenticated with check (owner = (select auth.uid()));
create policy "owners change" on public.shelf_items for update to authenticated using (owner = (select auth.uid()));
create policy "owners remove" on public.shelf_items for delete to authenticated using (owner = (select auth.uid()));
create table public.shelf_wishes (owner uuid not null, label text);
alter table public.shelf_wishes enable row level security;
grant insert on public.shelf_wishes to authenticated;
create policy "owners wish" on public.shelf_wishes for insert to authenticated with check (owner = (select auth.uid()));
create sequence public.tries;
grant usage on sequence public.tries to authenticated;

create function public.shelf_add(p_place bigint) returns void language sql as
    $$ insert into public.shelf_items (owner, place) values (auth.uid(), p_place) $$;
create function public.shelf_peek(p_place bigint) returns void language plpgsql stable as
    $$ begin perform public.shelf_add(p_place); end $$;
create function public.shelf_numbers(p_count integer) returns table (n integer, half numeric) language sql stable as
    $$ select i, i / 2.0 from generate_series(1, p_count) i $$;
create function public.shelf_worth() returns numeric language sql stable as
    $$ select coalesce(sum(amount), 0) from public.shelf_items $$;
create function public.shelf_nothing() returns numeric language sql stable as $$ select null::numeric $$;
create function public.echo(p_json jsonb, p_text text default null) returns jsonb language sql stable as
    $$ select jsonb_build_object('json', p_json, 'text', p_text) $$;
create function public.twice(p_number numeric) returns numeric language sql stable as $$ select p_number * 2 $$;
create function public.half(p_number double precision) returns double precision language sql stable as
    $$ select p_number / 2 $$;
create function public.who() returns jsonb language sql stable as $$
    select jsonb_build_object('id', auth.uid(), 'role', current_user,
        'address', nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-forwarded-for') $$;
create function public.fails(p_state text, p_message text, p_detail text) returns void language plpgsql as
    $$ begin raise exception '%', p_message using errcode = p_state, detail = p_detail; end $$;
create function public.naps(p_seconds double precision) returns void language sql stable as
    $$ select pg_sleep(p_seconds) $$;
create function public.naps_in_peace() returns void language sql stable set statement_timeout = '1min' as
    $$ select pg_sleep(0.2) $$;
create function public.backend() returns integer language sql stable as $$ select pg_backend_pid() $$;
create function public.reads_when_free() returns integer language plpgsql stable as
    $$ begin perform pg_advisory_xact_lock_shared(77); return 7; end $$;
create function public.writes_when_free() returns integer language plpgsql as
    $$ begin perform pg_advisory_xact_lock_shared(77); return 7; end $$;
create function public.relabel(p_place bigint, p_label text) returns void language plpgsql as $$
begin
    perform nextval('public.tries');
    update public.shelf_items set label = p_label where place = p_place;
end $$;
create function public.relabel_two(p_first bigint, p_second bigint) returns void language plpgsql as $$
begin
    perform nextval('public.tries');
    update public.shelf_items set label = 'first' where place = p_first;
    perform pg_sleep(0.3);
    update public.shelf_items set label = 'second' where place = p_second;
end $$;
"""


class Item(Row):
    """An item as its owner reads it."""

    table: ClassVar[str] = "shelf_items"
    id: UUID
    place: int
    label: str | None
    amount: Decimal
    put_at: datetime | None
    extra: dict[str, Any] | None


class Number(Row):
    """Only an item's place: as little as can be read."""

    table: ClassVar[str] = "shelf_items"
    place: int


def fill(world: World, owner: UUID, count: int) -> None:
    world.execute(
        "insert into public.shelf_items (owner, place) select %s, i from generate_series(1, %s) i", owner, count
    )


def wait_until(happened: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it never happened")
