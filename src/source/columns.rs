//! The columns of a relation as a sync last found them, and how they changed since: drift is told, not guessed from what breaks.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;

/// The present columns of a relation, as a subquery of its name in `$2`.
const PRESENT: &str = "SELECT a.attname::pg_catalog.text AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnum::pg_catalog.int4 AS ordinal \
     FROM pg_catalog.pg_attribute a WHERE a.attrelid = to_regclass($2) AND a.attnum > 0 AND NOT a.attisdropped";

/// Keeps the columns of a source as they are now.
pub fn keep(ws: &Workspace, source_id: i32, relation: &str) -> Result<(), CdpError> {
    spi::run(&ws.sql("DELETE FROM @ws@.source_column WHERE source_id = $1"), &[source_id.into()])?;
    spi::run(
        &ws.sql(&format!("INSERT INTO @ws@.source_column (source_id, name, type, ordinal) SELECT $1, p.name, p.type, p.ordinal FROM ({PRESENT}) p")),
        &[source_id.into(), relation.into()],
    )?;
    Ok(())
}

/// Enters how the columns changed since they were last looked at, and keeps them as they are now. Returns the changes in words. A column that is
/// gone while another of its type has its number was renamed.
pub fn note(ws: &Workspace, source_id: i32, relation: &str) -> Result<Vec<String>, CdpError> {
    let changes = spi::rows(
        &ws.sql(&format!(
            "WITH now AS MATERIALIZED ({PRESENT}), \
             was AS MATERIALIZED (SELECT c.name, c.type, c.ordinal FROM @ws@.source_column c WHERE c.source_id = $1), \
             gone AS (SELECT w.* FROM was w WHERE NOT EXISTS (SELECT FROM now n WHERE n.name = w.name)), \
             come AS (SELECT n.* FROM now n WHERE NOT EXISTS (SELECT FROM was w WHERE w.name = n.name)), \
             renamed AS (SELECT g.name, c.name AS new_name, g.ordinal FROM gone g JOIN come c ON c.ordinal = g.ordinal AND c.type = g.type), \
             change AS (SELECT w.ordinal, w.name, 'retyped' AS change, w.type AS before, n.type AS after FROM was w JOIN now n ON n.name = w.name AND n.type <> w.type \
                 UNION ALL SELECT r.ordinal, r.name, 'renamed', r.name, r.new_name FROM renamed r \
                 UNION ALL SELECT g.ordinal, g.name, 'dropped', g.type, NULL FROM gone g WHERE NOT EXISTS (SELECT FROM renamed r WHERE r.name = g.name) \
                 UNION ALL SELECT c.ordinal, c.name, 'added', NULL, c.type FROM come c WHERE NOT EXISTS (SELECT FROM renamed r WHERE r.new_name = c.name)), \
             entered AS (INSERT INTO @ws@.source_change (source_id, name, change, before, after) \
                 SELECT $1, c.name, c.change, c.before, c.after FROM change c WHERE EXISTS (SELECT FROM now) ORDER BY c.ordinal, c.change RETURNING change_id, name, change, before, after) \
             SELECT format('column %I %s', e.name, CASE e.change WHEN 'retyped' THEN format('was %s and is %s', e.before, e.after) WHEN 'renamed' THEN format('is called %I now', e.after) \
                 WHEN 'dropped' THEN 'is gone' ELSE format('is new, of type %s', e.after) END) FROM entered e ORDER BY e.change_id"
        )),
        &[source_id.into(), relation.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    if !changes.is_empty() {
        keep(ws, source_id, relation)?;
    }
    Ok(changes)
}
