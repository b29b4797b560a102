//! The view `profiles`: one row a live profile, one plainly typed column an attribute. Columns are only ever appended; dropping a tag is the one
//! time the view is made anew, and then who could read it can read it again.

use crate::error::CdpError;
use crate::pg::spi;
use crate::store::column::value_column;
use crate::workspace::Workspace;
use pgrx::spi::quote_literal;

/// Brings the view up to the attributes there are.
pub fn refresh(ws: &Workspace) -> Result<(), CdpError> {
    let attributes = spi::rows(
        &ws.sql("SELECT a.name, a.kind, a.type, coalesce(a.description, ''), coalesce(a.expression, ''), coalesce(a.unit, '') FROM @ws@.attribute a WHERE a.entity = 'person' ORDER BY a.attribute_id"),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?, spi::must::<String>(row, 4)?, spi::must::<String>(row, 5)?, spi::must::<String>(row, 6)?)),
    )?;
    let mut columns = String::new();
    for (name, ..) in &attributes {
        columns.push_str(", v.");
        columns.push_str(&value_column(name));
    }
    spi::run(
        &ws.sql(&format!(
            "CREATE OR REPLACE VIEW @ws@.profiles AS SELECT v.profile_id{columns} FROM @ws@.profile_value v"
        )),
        &[],
    )?;
    spi::run(&ws.sql("COMMENT ON VIEW @ws@.profiles IS 'one row a live profile, one column an attribute'"), &[])?;
    spi::run(&ws.sql("COMMENT ON COLUMN @ws@.profiles.profile_id IS 'stable number of the profile'"), &[])?;
    for (name, kind, ty, description, expression, unit) in &attributes {
        let comment = match (description.is_empty(), kind.as_str()) {
            (false, _) => description.clone(),
            (true, "tag") => format!("tag, {ty}: {expression}"),
            (true, _) => format!("{kind}, {ty}"),
        };
        let comment = if unit.is_empty() { comment } else { format!("{comment}; in {unit}") };
        for table in ["profiles", "profile_value"] {
            spi::run(
                &ws.sql(&format!(
                    "COMMENT ON COLUMN @ws@.{table}.{} IS {}",
                    value_column(name),
                    quote_literal(&comment)
                )),
                &[],
            )?;
        }
    }
    Ok(())
}

/// Makes the view anew without an attribute that is about to go, and gives back who could read it.
///
/// # Errors
/// 55006 when another view reads it.
pub fn recreate(ws: &Workspace) -> Result<(), CdpError> {
    let view = format!("{}.profiles", ws.schema());
    let grants = spi::rows(
        &ws.sql(
            "SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, c.oid::pg_catalog.regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
             FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner \
             UNION ALL \
             SELECT format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, t.attname, c.oid::pg_catalog.regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) a \
             WHERE c.oid = to_regclass($1) AND (t.attname = 'profile_id' OR EXISTS (SELECT FROM @ws@.attribute x WHERE x.name = t.attname))",
        ),
        &[view.as_str().into()],
        |row| spi::must::<String>(row, 1),
    )?;
    let users = spi::one::<String>(
        "SELECT string_agg(DISTINCT r.ev_class::pg_catalog.regclass::pg_catalog.text, ', ') FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjid = to_regclass($1) AND r.ev_class <> d.refobjid",
        &[view.as_str().into()],
    )?;
    if let Some(users) = users {
        return Err(CdpError::in_use(format!("the view {view} is read by {users}")).with_hint(
            "The view has to be made anew without the column: drop what reads it first and make it again afterwards.",
        ));
    }
    let options = spi::rows(
        "SELECT o FROM pg_catalog.pg_class c CROSS JOIN LATERAL unnest(c.reloptions) o WHERE c.oid = to_regclass($1)",
        &[view.as_str().into()],
        |row| spi::must::<String>(row, 1),
    )?;
    spi::run(&ws.sql("DROP VIEW @ws@.profiles"), &[])?;
    refresh(ws)?;
    for option in options {
        spi::run(&ws.sql(&format!("ALTER VIEW @ws@.profiles SET ({option})")), &[])?;
    }
    for grant in grants {
        spi::run(&grant, &[])?;
    }
    Ok(())
}
