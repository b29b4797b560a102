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
    crate::store::view::recreate(ws, "profiles", &["profile_id"], || refresh(ws))
}
