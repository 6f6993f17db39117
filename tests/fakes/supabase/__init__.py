"""A Supabase project for tests: data, sign-in and storage as the cloud offers them, over a test's own Postgres."""
