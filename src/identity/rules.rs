//! The rules of identifier types, as the workspace has them.

use crate::error::CdpError;
use crate::pg::{scan, spi};
use crate::workspace::Workspace;
use crate::workspace::kept::{self, Kept};
use pg_cdp_core::graph::govern::{Shared, TypeRule};
use pg_cdp_core::numbers::NumberMap;
use std::cell::Cell;
use std::rc::Rc;

/// An identifier type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentifierType {
    /// Its number.
    pub type_id: i32,
    /// Its name.
    pub name: String,
    /// How its values are cleaned.
    pub normaliser: String,
    /// Whether it merges.
    pub strong: bool,
    /// Whether it names a person and not a device.
    pub person: bool,
    /// The lower, the more telling.
    pub priority: i32,
    /// Most values of one profile and scope.
    pub limit: Option<u32>,
    /// Only values first seen within this span count, in microseconds.
    pub window_micros: Option<i64>,
    /// What parts the scope from the rest of a value.
    pub scope_separator: Option<String>,
    /// Whose a shared value is.
    pub shared: Shared,
    /// Whether its values are kept as keyed hashes only.
    pub hashed: bool,
    /// Neighbours of any type beyond which a value is a hub.
    pub degree_cap: Option<i32>,
    /// Neighbours of person-level types beyond which it is one.
    pub person_cap: Option<i32>,
}

impl IdentifierType {
    /// The scope of a value: limits count by it.
    pub fn scope<'a>(&self, value: &'a str) -> &'a str {
        self.scope_separator.as_deref().and_then(|by| value.split_once(by)).map_or("", |(scope, _)| scope)
    }
}

thread_local! {
    static KEPT: Cell<Option<Kept<Rules>>> = const { Cell::new(None) };
}

/// The table that they are read from.
const TABLE: [&str; 1] = ["identifier_type"];

/// Every identifier type, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// The types, by name: what the core calls a rule is the place in this list.
    pub types: Vec<IdentifierType>,
    places: NumberMap<u32>,
}

impl Rules {
    /// Those of the workspace. They are read again when a row of theirs is another version than the one that was read.
    pub fn load(ws: &Workspace) -> Result<Rc<Self>, CdpError> {
        kept::load(&KEPT, ws, &TABLE, || Self::read(ws))
    }

    /// Those of the workspace if they have been read before and are what they were: nothing is asked by query.
    pub fn known(ws: &Workspace) -> Result<Option<Rc<Self>>, CdpError> {
        Ok(kept::known(&KEPT, ws, scan::versions(&ws.name, &TABLE)?.as_deref()))
    }

    fn read(ws: &Workspace) -> Result<Self, CdpError> {
        let types = spi::rows_cached(
            &ws.sql(
                "SELECT t.type_id, t.name, t.normaliser, t.strength = 'strong', t.level = 'person', t.priority, t.max_per_profile, \
                        (extract(epoch FROM t.max_window) * 1000000)::pg_catalog.int8, t.scope_separator, t.shared, t.degree_cap, t.person_cap, t.storage = 'hmac' \
                 FROM @ws@.identifier_type t ORDER BY t.name COLLATE \"C\"",
            ),
            &[],
            |row| {
                Ok(IdentifierType {
                    type_id: spi::must(row, 1)?,
                    name: spi::must(row, 2)?,
                    normaliser: spi::must(row, 3)?,
                    strong: spi::must(row, 4)?,
                    person: spi::must(row, 5)?,
                    priority: spi::must(row, 6)?,
                    limit: row.get::<i32>(7)?.and_then(|limit| u32::try_from(limit).ok()),
                    window_micros: row.get(8)?,
                    scope_separator: row.get(9)?,
                    shared: shared(&spi::must::<String>(row, 10)?),
                    degree_cap: row.get(11)?,
                    person_cap: row.get(12)?,
                    hashed: spi::must(row, 13)?,
                })
            },
        )?;
        let places = (0u32..).zip(&types).map(|(place, ty)| (i64::from(ty.type_id), place)).collect();
        Ok(Self { types, places })
    }

    /// The place of a type.
    pub fn place(&self, type_id: i32) -> Result<u32, CdpError> {
        self.places
            .get(&i64::from(type_id))
            .copied()
            .ok_or_else(|| CdpError::internal(format!("identifier type {type_id} is gone")))
    }

    /// The type at a place.
    pub fn at(&self, place: u32) -> Result<&IdentifierType, CdpError> {
        self.types.get(place as usize).ok_or_else(|| CdpError::internal(format!("there is no identifier type {place}")))
    }

    /// A type by number.
    pub fn get(&self, type_id: i32) -> Result<&IdentifierType, CdpError> {
        self.at(self.place(type_id)?)
    }

    /// A type by name.
    ///
    /// # Errors
    /// 42704 when there is none; the hint lists those there are.
    pub fn named(&self, name: &str) -> Result<&IdentifierType, CdpError> {
        self.types.iter().find(|t| t.name == name).ok_or_else(|| {
            let mut known: Vec<&IdentifierType> = self.types.iter().collect();
            known.sort_by_key(|t| (t.priority, t.name.as_str()));
            let known: Vec<&str> = known.iter().map(|t| t.name.as_str()).collect();
            CdpError::undefined_object("identifier type", name)
                .with_hint(format!("Known types are {}.", known.join(", ")))
        })
    }

    /// The smallest cap of any type: whoever has no more neighbours is no hub. `None` when no type has one.
    pub fn least_cap(&self) -> Option<i32> {
        self.types.iter().flat_map(|t| [t.degree_cap, t.person_cap]).flatten().min()
    }

    /// What the core needs, in the same order.
    pub fn core(&self) -> Vec<TypeRule> {
        self.types
            .iter()
            .map(|t| TypeRule {
                priority: t.priority,
                limit: t.limit,
                window_micros: t.window_micros,
                shared: t.shared,
            })
            .collect()
    }
}

/// The setting `shared` by its word.
pub fn shared(word: &str) -> Shared {
    match word {
        "first" => Shared::First,
        "nobody" => Shared::Nobody,
        _ => Shared::Last,
    }
}
