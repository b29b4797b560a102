-- The loop of cdp_sync(): each batch commits, so that a long run is visible, resumable and holds no lock for long. Inside a
-- transaction block nothing can be committed: there the whole run is one transaction. A procedure that commits cannot pin its search_path, so
-- every name is qualified and the extension's own functions are called through its schema.
CREATE PROCEDURE cdp_sync(source text DEFAULT NULL)
LANGUAGE plpgsql AS $procedure$
DECLARE
    ext text := (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp');
    whole boolean;
    source_ids integer[];
    source_id integer;
    job_id bigint;
    reached bigint;
    failed boolean;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE pg_catalog.format('SELECT %s._cdp_in_transaction_block()', ext) INTO whole;
    IF whole THEN
        RAISE NOTICE 'cdp_sync() inside a transaction block: everything is one transaction, nothing is committed before it ends';
    END IF;
    EXECUTE pg_catalog.format('SELECT pg_catalog.array_agg(s) FROM %s._cdp_sync_sources($1) s', ext) INTO source_ids USING source;
    FOREACH source_id IN ARRAY coalesce(source_ids, '{}'::pg_catalog.int4[]) LOOP
        job_id := NULL;
        failed := false;
        reached := 0;
        IF whole THEN
            EXECUTE pg_catalog.format('SELECT %s._cdp_sync_begin($1)', ext) INTO job_id USING source_id;
        ELSE
            BEGIN
                EXECUTE pg_catalog.format('SELECT %s._cdp_sync_begin($1)', ext) INTO job_id USING source_id;
            EXCEPTION WHEN OTHERS OR query_canceled THEN
                GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
                failed := true;
                reached := NULL;
            END;
            IF failed AND state OPERATOR(pg_catalog.<>) '55006' THEN
                EXECUTE pg_catalog.format('SELECT %s._cdp_sync_refused($1)', ext) INTO job_id USING source_id;
            ELSIF failed AND source IS NULL THEN
                -- Runs of all sources share them.
                RAISE NOTICE '%; it is left to that run', message;
                failed := false;
            END IF;
            COMMIT;
        END IF;
        WHILE reached IS NOT NULL LOOP
            IF whole THEN
                EXECUTE pg_catalog.format('SELECT %s._cdp_sync_batch($1, $2)', ext) INTO reached USING job_id, reached;
            ELSE
                BEGIN
                    EXECUTE pg_catalog.format('SELECT %s._cdp_sync_batch($1, $2)', ext) INTO reached USING job_id, reached;
                EXCEPTION WHEN OTHERS OR query_canceled THEN
                    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
                    failed := true;
                    reached := NULL;
                END;
                COMMIT;
            END IF;
        END LOOP;
        IF job_id IS NOT NULL THEN
            EXECUTE pg_catalog.format('SELECT %s._cdp_sync_end($1, $2)', ext) USING job_id, CASE WHEN failed THEN message END;
        END IF;
        IF NOT whole THEN COMMIT; END IF;
        IF failed THEN
            IF hint OPERATOR(pg_catalog.=) '' THEN
                hint := 'The batches before this one are kept; correct the cause and call cdp_sync() again: it goes on from there.';
            END IF;
            IF detail OPERATOR(pg_catalog.=) '' THEN
                RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
            END IF;
            RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
        END IF;
    END LOOP;
    EXECUTE pg_catalog.format('SELECT %s._cdp_sync_fold()', ext);
END
$procedure$;
COMMENT ON PROCEDURE cdp_sync(text) IS 'takes what is new in one source or in all, in batches that commit and resume; runs of different sources write beside each other';

-- The loop of cdp_process_inbox(): as that of cdp_sync(). Rows that another run has in hand are left to it.
CREATE PROCEDURE cdp_process_inbox(batch integer DEFAULT 10000)
LANGUAGE plpgsql AS $procedure$
DECLARE
    ext text := (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension e
                 JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp');
    whole boolean;
    job_id bigint;
    taken bigint := 1;
    failed boolean := false;
    last boolean;
    state text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE pg_catalog.format('SELECT %s._cdp_in_transaction_block()', ext) INTO whole;
    IF whole THEN
        RAISE NOTICE 'cdp_process_inbox() inside a transaction block: everything is one transaction, nothing is committed before it ends';
    END IF;
    EXECUTE pg_catalog.format('SELECT %s._cdp_inbox_begin()', ext) INTO job_id;
    IF NOT whole THEN COMMIT; END IF;
    WHILE taken OPERATOR(pg_catalog.>) 0 LOOP
        IF whole THEN
            EXECUTE pg_catalog.format('SELECT %s._cdp_inbox_batch($1, $2, $3)', ext) INTO taken USING job_id, batch, NOT whole;
        ELSE
            BEGIN
                EXECUTE pg_catalog.format('SELECT %s._cdp_inbox_batch($1, $2, $3)', ext) INTO taken USING job_id, batch, NOT whole;
            EXCEPTION WHEN OTHERS OR query_canceled THEN
                GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
                failed := true;
                taken := 0;
            END;
            COMMIT;
        END IF;
    END LOOP;
    EXECUTE pg_catalog.format('SELECT %s._cdp_inbox_end($1, $2)', ext) INTO last USING job_id, CASE WHEN failed THEN message END;
    IF NOT whole THEN COMMIT; END IF;
    IF failed THEN
        IF hint OPERATOR(pg_catalog.=) '' THEN
            hint := 'What was taken before is kept, the rest is in the inbox; correct the cause and call cdp_process_inbox() again.';
        END IF;
        IF detail OPERATOR(pg_catalog.=) '' THEN
            RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
        END IF;
        RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
    END IF;
    IF last THEN
        EXECUTE pg_catalog.format('SELECT %s._cdp_sync_fold()', ext);
    END IF;
END
$procedure$;
COMMENT ON PROCEDURE cdp_process_inbox(integer) IS 'takes the messages that wait in the inbox, in batches that commit; several may run at the same time';
