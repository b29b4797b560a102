//! Making a view anew: the one way to take a column out of it.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::spi::quote_identifier;

/// Refuses when another view reads this one. `next` says what to do about it.
///
/// # Errors
/// 55006 with the views that do.
pub fn refuse_readers(view: &str, next: &str) -> Result<(), CdpError> {
    let users = spi::one::<String>(
        "SELECT string_agg(DISTINCT r.ev_class::pg_catalog.regclass::pg_catalog.text, ', ') FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
         WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjid = to_regclass($1) AND r.ev_class <> d.refobjid",
        &[view.into()],
    )?;
    match users {
        Some(users) => Err(CdpError::in_use(format!("the view {view} is read by {users}")).with_hint(next)),
        None => Ok(()),
    }
}

/// Makes a view of the workspace anew without an attribute that is gone from the registry, by `make`, and gives back who could read it. `columns` are
/// those of the view that are no attributes.
///
/// # Errors
/// 55006 when another view reads it.
pub fn recreate(
    ws: &Workspace,
    name: &str,
    columns: &[&str],
    make: impl FnOnce() -> Result<(), CdpError>,
) -> Result<(), CdpError> {
    let view = format!("{}.{}", ws.schema(), quote_identifier(name));
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    let grants = spi::rows(
        &ws.sql(
            "SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, c.oid::pg_catalog.regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
             FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner \
             UNION ALL \
             SELECT format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, t.attname, c.oid::pg_catalog.regclass, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, \
                    CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid CROSS JOIN LATERAL aclexplode(t.attacl) a \
             WHERE c.oid = to_regclass($1) AND (t.attname = ANY ($2::pg_catalog.text[]) OR EXISTS (SELECT FROM @ws@.attribute x WHERE x.name = t.attname))",
        ),
        &[view.as_str().into(), columns.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    refuse_readers(
        &view,
        "The view has to be made anew without the column: drop what reads it first and make it again afterwards.",
    )?;
    let options = spi::rows(
        "SELECT o FROM pg_catalog.pg_class c CROSS JOIN LATERAL unnest(c.reloptions) o WHERE c.oid = to_regclass($1)",
        &[view.as_str().into()],
        |row| spi::must::<String>(row, 1),
    )?;
    spi::run(&format!("DROP VIEW {view}"), &[])?;
    make()?;
    for option in options {
        spi::run(&format!("ALTER VIEW {view} SET ({option})"), &[])?;
    }
    for grant in grants {
        spi::run(&grant, &[])?;
    }
    Ok(())
}
