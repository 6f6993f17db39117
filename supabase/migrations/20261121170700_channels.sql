-- Which channels of which account belong to which store. Nothing is ever published on another one.

create table public.profile_channels (
    id            uuid primary key default gen_random_uuid(),
    account_id    uuid not null references public.accounts on delete cascade,
    profile_id    uuid not null,
    credential_id uuid not null references public.profile_credentials on delete cascade,
    channel       text not null,                   -- the vendor's own id
    name          text not null,
    identifier    text not null,                   -- the network, such as instagram
    handle        text,
    picture       text,
    pinned_by     uuid,
    pinned_at     timestamptz not null default private.utc_now(),
    unique (credential_id, channel),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index profile_channels_profile on public.profile_channels (account_id, profile_id);
alter table public.profile_channels enable row level security;
grant select on public.profile_channels to authenticated, service_role;
create policy "people read their stores' channels" on public.profile_channels for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

-- An admin pins these channels of the account, and no others, to the store; p_seen are those that were pinned when the
-- admin decided. They are taken as the account's last test
-- found them: names that nobody has seen are never pinned.
create function private.pin_channels(p_profile_id uuid, p_credential_id uuid, p_channels text[], p_seen text[]) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store  public.profiles := private.my_work_profile(p_profile_id);
    v_found  jsonb;
    v_before jsonb;
    v_taken  text;
begin
    if v_store.account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin pins channels.');
    end if;
    select c.facts -> 'channels' into v_found from public.profile_credentials c
    where c.id = p_credential_id and c.account_id = v_store.account_id and c.provider = 'postiz'
      and (c.profile_id is null or c.profile_id = p_profile_id) for no key update;
    if not found then
        perform private.fail('PT404', 'Account not found.');
    elsif array(select x.channel from public.profile_channels x where x.profile_id = p_profile_id order by 1)
        is distinct from array(select x from unnest(p_seen) x order by 1) then
        perform private.fail('PT409', 'Somebody pinned other channels meanwhile. Look at them, then choose again.');
    elsif exists (select from unnest(p_channels) x
                  where x not in (select f ->> 'id' from jsonb_array_elements(coalesce(v_found, '[]')) f)) then
        perform private.fail('PT409', 'The account does not show this channel any more. Test it, then choose again.');
    end if;
    select x.name || ' is pinned to ' || s.name into v_taken
    from public.profile_channels x join public.profiles s on s.id = x.profile_id
    where x.credential_id = p_credential_id and x.channel = any (p_channels) and x.profile_id <> p_profile_id limit 1;
    if found then
        perform private.fail('PT409', v_taken || '. Take it from there first.');
    end if;
    select jsonb_agg(x.name order by x.name) into v_before from public.profile_channels x where x.profile_id = p_profile_id;
    delete from public.profile_channels x
    where x.profile_id = p_profile_id and not (x.credential_id = p_credential_id and x.channel = any (p_channels));
    insert into public.profile_channels as x
        (account_id, profile_id, credential_id, channel, name, identifier, handle, picture, pinned_by)
    select v_store.account_id, p_profile_id, p_credential_id, f ->> 'id', f ->> 'name', f ->> 'identifier',
           f ->> 'profile', f ->> 'picture', auth.uid()
    from jsonb_array_elements(v_found) f where f ->> 'id' = any (p_channels)
    on conflict (credential_id, channel) do update
    set name = excluded.name, handle = excluded.handle, picture = excluded.picture;
    perform private.audit(v_store.account_id, 'channels_pinned', null, p_profile_id, null,
                          jsonb_build_object('channels', v_before),
                          (select jsonb_build_object('channels', jsonb_agg(x.name order by x.name))
                           from public.profile_channels x where x.profile_id = p_profile_id));
end $$;

-- An account whose channels are pinned is not removed: with it would go who publishes where.
create function private.refuse_pinned() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    v_stores text := (select string_agg(distinct s.name, ', ') from public.profile_channels x
                      join public.profiles s on s.id = x.profile_id where x.credential_id = old.id);
begin
    -- With its company or store everything goes.
    if v_stores is not null and pg_trigger_depth() = 1 then
        perform private.fail('PT409', format('Channels of this account are pinned to %s. Take them from there first.', v_stores));
    end if;
    return old;
end $$;
create trigger refuse_pinned before delete on public.profile_credentials for each row execute function private.refuse_pinned();

create function public.pin_channels(p_profile_id uuid, p_credential_id uuid, p_channels text[], p_seen text[]) returns void
language sql set search_path = '' as $$ select private.pin_channels(p_profile_id, p_credential_id, p_channels, p_seen) $$;
grant execute on function public.pin_channels(uuid, uuid, text[], text[]), private.pin_channels(uuid, uuid, text[], text[]) to authenticated;
