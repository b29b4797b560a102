-- What the width of a shard costs and saves: a dense and a 5 % set of ten million profiles in rows of 2^16 to 2^24 profiles.
--   read: all bytes fetched; flip: one profile more, the row rewritten; WAL without full-page images counted;
--   pending: the same flip as a row of pending.
-- psql -f tests/bench/bits/layout.sql on an empty database with pg_cdp installed.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_cdp;
SELECT cdp_init();
CREATE TABLE layout_source AS SELECT i, hashint4(i) % 20 = 0 AS sparse, hashint4(i) % 2 = 0 AS dense FROM generate_series(0, 9999999) i;
CREATE TABLE layout_result (n serial, density text, width int, rows bigint, mb numeric, read_ms numeric, flip_ms numeric, flip_wal bigint);
CREATE FUNCTION layout_run(wanted text, low_bits int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE began timestamptz; lsn pg_lsn; best numeric; took numeric; wal bigint;
BEGIN
    EXECUTE 'DROP TABLE IF EXISTS layout';
    CREATE TABLE layout (shard int PRIMARY KEY, bits bytea NOT NULL);
    ALTER TABLE layout ALTER COLUMN bits SET STORAGE EXTERNAL;
    EXECUTE format('INSERT INTO layout SELECT i >> %1$s, _cdp_offsets_agg(i & ((1 << %1$s) - 1)) FROM layout_source WHERE %2$I GROUP BY 1', low_bits, wanted);
    INSERT INTO layout_result (density, width, rows, mb) SELECT wanted, low_bits, count(*), round(sum(length(l.bits)) / 1e6, 2) FROM layout l;
    FOR i IN 1..20 LOOP
        began := clock_timestamp();
        PERFORM sum(get_byte(l.bits, length(l.bits) - 1)) FROM layout l;
        took := extract(epoch FROM clock_timestamp() - began) * 1000;
        best := least(best, took);
    END LOOP;
    UPDATE layout_result SET read_ms = round(best, 2) WHERE n = (SELECT max(n) FROM layout_result);
    best := NULL;
    FOR i IN 1..20 LOOP
        lsn := pg_current_wal_insert_lsn();
        began := clock_timestamp();
        -- The last byte of the first row changes.
        UPDATE layout l SET bits = _cdp_fold_any(l.bits, i) WHERE shard = 0;
        took := extract(epoch FROM clock_timestamp() - began) * 1000;
        wal := pg_current_wal_insert_lsn() - lsn;
        best := least(best, took);
    END LOOP;
    UPDATE layout_result SET flip_ms = round(best, 2), flip_wal = wal WHERE n = (SELECT max(n) FROM layout_result);
END $$;
-- The write of a changed value, without the cost of computing it: the last byte alternates.
CREATE FUNCTION _cdp_fold_any(bits bytea, i int) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT set_byte(bits, length(bits) - 1, i % 2)';
SELECT layout_run(d, w) IS NULL AS done FROM unnest(ARRAY['dense', 'sparse']) d, unnest(ARRAY[24, 20, 18, 16]) w;
CHECKPOINT;
SELECT density, '2^' || width AS width, rows, mb, read_ms, flip_ms, flip_wal AS "flip WAL bytes" FROM layout_result ORDER BY n;
DO $$
DECLARE lsn pg_lsn := pg_current_wal_insert_lsn(); began timestamptz := clock_timestamp();
BEGIN
    INSERT INTO cdp.pending SELECT 1, 0, o % 10, _cdp_cells_agg(o, 1, 0) FROM generate_series(1, 10000) o GROUP BY o;
    RAISE WARNING 'a flip as a row of pending: % bytes of WAL, % us', round((pg_current_wal_insert_lsn() - lsn) / 10000), round(extract(epoch FROM clock_timestamp() - began) * 100);
END $$;
DROP SCHEMA cdp CASCADE;
DROP TABLE layout, layout_source, layout_result;
DROP FUNCTION layout_run, _cdp_fold_any;
