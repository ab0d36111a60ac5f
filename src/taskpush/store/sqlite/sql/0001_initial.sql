-- Times are microseconds since 1970. No clock decides an order: tasks are ordered by id, events by
-- seq.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `doc` is the record without its head and its volatile events; the other columns are what lists
-- filter by, taken from it.
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,          -- the order of creation
    task_id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    run_at INTEGER,                  -- NULL unless it is delayed
    started_at INTEGER,              -- NULL until the attempt starts
    finished_at INTEGER,             -- NULL until the attempt is over
    runner TEXT,                     -- epoch of the process that executes it; NULL unless running
    folded_title TEXT,               -- for searches without regard to case
    changed INTEGER NOT NULL,        -- the order of changes; gaps are possible
    upload_bytes INTEGER NOT NULL,   -- the size of the files that stand in its params
    doc BLOB NOT NULL                -- last, so that filters need not read past it
) STRICT;

-- Every index ends in the rowid, which is the id: each gives one kind of list in its order.
CREATE INDEX tasks_of_tenant ON tasks (tenant);
CREATE INDEX tasks_by_status ON tasks (tenant, status);
CREATE INDEX tasks_by_kind ON tasks (tenant, kind);
CREATE INDEX tasks_of_owner ON tasks (tenant, owner);
CREATE INDEX tasks_of_owner_by_status ON tasks (tenant, owner, status);
CREATE INDEX tasks_of_owner_by_kind ON tasks (tenant, owner, kind);
CREATE INDEX tasks_waiting ON tasks (priority DESC, id, task_id, kind, run_at, tenant, owner)
WHERE status = 'pending';
CREATE INDEX tasks_running ON tasks (id, runner) WHERE status = 'running';

-- What changed after a cursor: one range, whose other columns tell which feeds a task is in.
CREATE INDEX tasks_changed ON tasks (tenant, changed, owner, kind);

-- Each ends in the columns that are asked for, so that the rows need not be looked up.
CREATE INDEX tasks_finished ON tasks (finished_at, id, status, kind)
WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_finished_by_kind ON tasks (kind, finished_at, id, status)
WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_ended ON tasks
(tenant, finished_at, kind, status, owner, attempt, created_at, run_at, started_at)
WHERE finished_at IS NOT NULL;

-- What is left of deleted tasks: their ids and places are never given again.
CREATE TABLE deleted_tasks (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL
) STRICT;

-- Deletions that feeds still tell of, by their place in the order of changes; bounded.
CREATE TABLE tombstones (
    changed INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    tags TEXT NOT NULL               -- a JSON array
) STRICT;

-- Each opening of the store, so that a cursor is known again; bounded.
CREATE TABLE eras (
    id INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    last INTEGER                     -- the newest change that is left of it; NULL: the present one
) STRICT;

CREATE TABLE idempotency_keys (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    task_ids TEXT NOT NULL,          -- a JSON array
    UNIQUE (tenant, owner, key)
) STRICT;

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE task_tags (
    tenant TEXT NOT NULL,
    tag TEXT NOT NULL,
    task INTEGER NOT NULL,
    PRIMARY KEY (tenant, tag, task)
) STRICT, WITHOUT ROWID;

-- The log. `body` is the envelope as it is sent, so that a replay encodes nothing.
CREATE TABLE events (
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    event_type TEXT NOT NULL,
    final INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (task, seq)
) STRICT, WITHOUT ROWID;

-- The newest reports of running tasks, in the order of their commits, until they are
-- copied into `events`, with others of their task. What has been copied, or belongs to a task that
-- is gone, may still be here: only rows past the newest of `events` count.
CREATE TABLE recent_events (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    event_type TEXT NOT NULL,
    final INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- What stays of the begin of a trimmed log: the artifacts, whose files can still be fetched.
CREATE TABLE events_set_aside (
    task INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    event_type TEXT NOT NULL,
    final INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (task, seq)
) STRICT, WITHOUT ROWID;

-- The newest volatile event of each type, of the present attempt.
CREATE TABLE latest (
    task INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (task, event_type)
) STRICT, WITHOUT ROWID;

-- How far the webhooks of a task have come; only tasks that have some are here.
CREATE TABLE webhooks (
    task INTEGER PRIMARY KEY,
    open INTEGER NOT NULL,           -- whether something may be left to deliver
    doc TEXT NOT NULL                -- a JSON array; empty until something was tried
) STRICT;

CREATE INDEX webhooks_open ON webhooks (task) WHERE open;

-- Files that clients sent for params; their content lies beside the database.
CREATE TABLE uploads (
    upload_id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,              -- NULL while tasks use it
    uses INTEGER NOT NULL            -- how many tasks that are
) STRICT, WITHOUT ROWID;

CREATE INDEX uploads_of_owner ON uploads (tenant, owner, uses, size_bytes);
CREATE INDEX uploads_by_age ON uploads (expires_at) WHERE uses = 0;

-- Who did what, when. Entries are only ever added, and removed when they are old; they know the
-- task by its id alone, and outlive it.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    owner TEXT,                      -- who asked
    action TEXT NOT NULL,
    task_id TEXT,                    -- NULL for keys and tokens
    doc TEXT NOT NULL
) STRICT;

CREATE INDEX audit_of_tenant ON audit (tenant, at);
CREATE INDEX audit_of_task ON audit (tenant, task_id, at) WHERE task_id IS NOT NULL;
CREATE INDEX audit_by_age ON audit (at);

-- The types that are asked for by themselves, and that a task has few of.
CREATE INDEX events_apart ON events (task, event_type, seq)
WHERE event_type IN ('artifact', 'checkpoint');
