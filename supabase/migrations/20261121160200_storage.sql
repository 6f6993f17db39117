-- Files in Supabase Storage: one private bucket, objects named `<kind>/<company>/<store>/…`.

-- Folders of the person's stores as `<company>/<store>`; to write: only where the person may work, not in suspended stores.
-- Text, so that a malformed name is compared and refused, never cast.
create function private.my_media_folders(p_to_write boolean) returns setof text
language sql stable security definer set search_path = '' as $$
    select p.account_id::text || '/' || p.id::text from public.profiles p
    where p.id in (select private.my_profile_ids())
      and (not p_to_write or p.suspended_at is null and p.id in (select private.my_work_profile_ids()))
$$;

-- The `<company>/<store>` of an object's name; null when the name is not of that layout.
create function private.media_folder(p_name text) returns text
language sql immutable set search_path = '' as $$
    select substring(p_name from '^[a-z]+/([0-9a-f-]{36}/[0-9a-f-]{36})/[A-Za-z0-9]')
$$;

revoke execute on function private.my_media_folders(boolean), private.media_folder(text) from public, anon;
grant execute on function private.my_media_folders(boolean), private.media_folder(text) to authenticated, service_role;

-- Only where there is Supabase Storage. People add, the worker's secret key passes by the policies and does the rest.
do $$
begin
    if to_regclass('storage.buckets') is null then
        return;
    end if;
    insert into storage.buckets (id, name, public, file_size_limit) values ('media', 'media', false, 1073741824)
    on conflict (id) do update set public = false, file_size_limit = excluded.file_size_limit;

    create policy "people read their stores' media" on storage.objects for select to authenticated
        using (bucket_id = 'media' and private.media_folder(name) in (select private.my_media_folders(false)));
    create policy "people upload to stores they work in" on storage.objects for insert to authenticated
        with check (bucket_id = 'media' and name like 'uploads/%'
                    and private.media_folder(name) in (select private.my_media_folders(true)));
end $$;
