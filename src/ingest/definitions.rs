//! What messages bring that the workspace does not know: identifier types, attributes, event types and properties are entered as their source's policy allows.

use super::plan::Plan;
use crate::error::CdpError;
use crate::event::dictionary::{self, Mode};
use crate::identity::types;
use crate::profile::{attribute, view};
use crate::workspace::Workspace;

/// Enters what a plan found unknown. Needs the workspace lock. The message has to be planned again after that.
pub fn make(ws: &Workspace, plan: &Plan) -> Result<(), CdpError> {
    for name in &plan.types {
        types::ensure(ws, name)?;
    }
    let mut made = false;
    for t in plan.traits.iter().filter(|t| t.attribute_id.is_none()) {
        attribute::ensure_trait(ws, &t.name, t.ty, attribute::Origin::Inferred)?;
        made = true;
    }
    if made {
        view::refresh(ws)?;
    }
    if let Some(event) = &plan.event
        && (!event.known || !event.unknown.is_empty())
    {
        dictionary::ensure(ws, &event.name, &event.unknown, Mode::Inferred)?;
    }
    Ok(())
}
