-- Captions are bought once for a film: the same bytes, model and wishes in one store have the same captions.

create index proposals_looking on public.proposals (profile_id, file_hash) where status = 'running' and file_hash is not null;

-- What a proposal under way may do about the film that it looks at, by the SHA-256 of its bytes: 'shared' (it has what was
-- bought for that film before), 'wait' (another one is about to buy it) or 'buy'. A proposal under way that has a file_hash
-- is one that buys; who waits has none, so that two never wait for each other. Who has made its call already goes on: its
-- answer may lie on the worker's disk.
create function private.share_proposal(p_job_id uuid, p_attempt_token uuid, p_file_hash text) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_mine public.proposals;
    v_like public.proposals;
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    select * into strict v_mine from public.proposals p where p.id = p_job_id;
    perform pg_advisory_xact_lock(hashtextextended('film ' || v_mine.profile_id || p_file_hash, 1));
    if exists (select from public.purchases p
               where p.job_id = v_mine.id and p.state = 'sent' and p.again_at is null) then
        return 'buy';
    end if;
    select * into v_like from public.proposals p
    where p.profile_id = v_mine.profile_id and p.file_hash = p_file_hash and p.id <> v_mine.id
      and (p.kind, p.model, p.wanted) = (v_mine.kind, v_mine.model, v_mine.wanted)
      and (p.status = 'running' or (p.status = 'completed' and p.output is not null))
    order by p.status, p.ended_at desc limit 1;
    update public.proposals p
    set file_hash = case when v_like.status is distinct from 'running' then p_file_hash end,
        output = case when v_like.status = 'completed' then v_like.output || '{"reused": true}' else p.output end,
        model_version = case when v_like.status = 'completed' then v_like.model_version else p.model_version end
    where p.id = v_mine.id;
    return case v_like.status when 'completed' then 'shared' when 'running' then 'wait' else 'buy' end;
end $$;

create function public.share_proposal(p_job_id uuid, p_attempt_token uuid, p_file_hash text) returns text
language sql set search_path = '' as $$ select private.share_proposal(p_job_id, p_attempt_token, p_file_hash) $$;
grant execute on function
    public.share_proposal(uuid, uuid, text), private.share_proposal(uuid, uuid, text) to service_role;
