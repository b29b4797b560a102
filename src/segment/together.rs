//! `cdp_refresh`: tags and segments brought up to date in one pass, whatever is named before what names it.

use super::named::{self, Segment};
use crate::error::CdpError;
use crate::expr::catalog::Catalog;
use crate::expr::dependencies::{self, Named};
use crate::tag::refresh;
use crate::tag::registry::{self, Tag};
use crate::workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// What has a definition to be brought up to date.
enum Item {
    Tag(Tag),
    Segment(Segment),
}

impl Item {
    fn named(&self) -> Named {
        match self {
            Self::Tag(tag) => tag.named(),
            Self::Segment(segment) => Named::Segment(segment.segment_id),
        }
    }
}

#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_refresh(
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(kind, &'static str),
            name!(name, String),
            name!(profiles, i64),
            name!(changed, i64),
            name!(added, Option<i64>),
            name!(removed, Option<i64>),
            name!(ms, f64),
        ),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        let tags = registry::all(ws)?.into_iter().filter(|tag| tag.state == "active").map(Item::Tag);
        let segments = named::all(ws)?.into_iter().filter(|s| s.expression.is_some() && s.state == "active");
        let mut items: Vec<Item> = tags.chain(segments.map(Item::Segment)).collect();
        dependencies::sort(ws, &mut items, Item::named)?;
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            out.push(match item {
                Item::Tag(tag) => {
                    let done = refresh::refresh(ws, &tag, as_of)?;
                    ("tag", tag.name, done.profiles, done.changed, None, None, done.ms)
                }
                Item::Segment(segment) => {
                    // A tag may have got a column of another kind.
                    let done = named::refresh(ws, &Catalog::load(ws)?, &segment, as_of)?;
                    let changed = done.added.saturating_add(done.removed);
                    ("segment", segment.name, done.total, changed, Some(done.added), Some(done.removed), done.ms)
                }
            });
        }
        Ok::<_, CdpError>(TableIterator::new(out))
    })?)
}
