-- The voice section of a store's settings. Saving it touches no other section (requirements D13).

alter table public.profiles add column voice_version integer not null default 1;

-- The store, locked, if the section is still as the person saw it.
create function private.voice_section(p_profile_id uuid, p_version integer) returns public.profiles
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
begin
    select * into v_store from public.profiles p where p.id = p_profile_id for no key update;
    if v_store.voice_version is distinct from p_version then
        perform private.fail('PT409', 'Somebody saved the voice settings meanwhile. Look at them, then save again.');
    end if;
    return v_store;
end $$;

-- {provider, model, voice, format, speed, stability}: what is missing is the service's own default.
create function private.save_voice_defaults(p_profile_id uuid, p_settings jsonb, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.voice_section(p_profile_id, p_version);
begin
    if jsonb_typeof(p_settings) is distinct from 'object'
        or exists (select from jsonb_each_text(p_settings) s
                   where s.value is null or s.key not in ('provider', 'model', 'voice', 'format', 'speed', 'stability')
                      or char_length(s.value) not between 1 and 200
                      or s.key = 'format' and s.value not in ('mp3', 'wav')
                      or s.key in ('speed', 'stability') and s.value !~ '^\d(\.\d{1,4})?$') then
        perform private.fail('PT400', 'These are no voice settings.');
    end if;
    update public.profiles p set tts_settings = p_settings, voice_version = p.voice_version + 1 where p.id = p_profile_id;
    perform private.audit(v_store.account_id, 'voice_defaults_changed', null, p_profile_id, null, v_store.tts_settings,
                          p_settings);
end $$;

-- Free voices over quota lift a limit: only an admin, with a reason.
create function private.allow_free_over_quota(p_profile_id uuid, p_allowed boolean, p_reason text, p_version integer)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.voice_section(p_profile_id, p_version);
begin
    if v_store.account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin lifts a limit.');
    elsif coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say why, so that the log can tell later.', '{"field": "reason"}');
    end if;
    update public.profiles p
    set allow_free_voices_over_quota = p_allowed, voice_version = p.voice_version + 1 where p.id = p_profile_id;
    perform private.audit(v_store.account_id, 'free_voices_over_quota_changed', null, p_profile_id, btrim(p_reason),
                          jsonb_build_object('allowed', v_store.allow_free_voices_over_quota),
                          jsonb_build_object('allowed', p_allowed));
end $$;

create function public.save_voice_defaults(p_profile_id uuid, p_settings jsonb, p_version integer) returns void
language sql set search_path = '' as $$ select private.save_voice_defaults(p_profile_id, p_settings, p_version) $$;
create function public.allow_free_over_quota(p_profile_id uuid, p_allowed boolean, p_reason text, p_version integer)
returns void language sql set search_path = '' as
    $$ select private.allow_free_over_quota(p_profile_id, p_allowed, p_reason, p_version) $$;
grant execute on function
    public.save_voice_defaults(uuid, jsonb, integer), private.save_voice_defaults(uuid, jsonb, integer),
    public.allow_free_over_quota(uuid, boolean, text, integer), private.allow_free_over_quota(uuid, boolean, text, integer)
    to authenticated;
