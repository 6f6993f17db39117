"""Where passwords live: local accounts on plain Postgres, Supabase Auth in the cloud."""
