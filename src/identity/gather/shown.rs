//! Rows as their mapping gave them: of each the values of some identifiers, each distinct value of a column kept once.

use crate::error::CdpError;
use pg_cdp_core::texts::{TextList, Texts};
use pgrx::datum::TimestampWithTimeZone;
use std::collections::HashMap;

/// Rows with the values of columns; of which type of identifier each column is, those who read them know.
#[derive(Default)]
pub struct Shown {
    columns: Vec<Column>,
    rows: Vec<ShownRow>,
    cells: Vec<Cell>,
    /// Why some rows cannot be used, whatever their identifiers are.
    faults: HashMap<i64, String>,
}

/// A column.
#[derive(Default)]
struct Column {
    /// Its distinct values, in the order in which they came.
    texts: Texts,
    /// How many rows have one.
    rows: usize,
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct ShownRow {
    /// Its number.
    pub rn: i64,
    /// The time it speaks of.
    pub seen: Option<TimestampWithTimeZone>,
    /// Where its cells end.
    end: usize,
}

/// A value of a row.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Its column.
    pub column: u32,
    /// The place of the value among the distinct ones of the column.
    pub text: u32,
}

impl Shown {
    /// Takes a value of the row that comes next, which is said with [`end_row`](Self::end_row). An empty one is none.
    pub fn value(&mut self, column: usize, value: &str) -> Result<(), CdpError> {
        if value.is_empty() {
            return Ok(());
        }
        if self.columns.len() <= column {
            self.columns.resize_with(column + 1, Column::default);
        }
        let Some(of) = self.columns.get_mut(column) else { return Ok(()) };
        let too_many = || CdpError::limit("a batch has too many identifiers");
        let (text, _) = of.texts.insert(value).ok_or_else(too_many)?;
        of.rows += 1;
        self.cells.push(Cell { column: u32::try_from(column).map_err(|_| too_many())?, text });
        Ok(())
    }

    /// Ends a row, whose values have been told.
    pub fn end_row(&mut self, rn: i64, seen: Option<TimestampWithTimeZone>, fault: Option<String>) {
        self.faults.extend(fault.map(|fault| (rn, fault)));
        self.rows.push(ShownRow { rn, seen, end: self.cells.len() });
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, each with its values.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = (ShownRow, &[Cell])> {
        let mut begin = 0;
        self.rows.iter().map(move |row| {
            let from = std::mem::replace(&mut begin, row.end);
            (*row, self.cells.get(from..row.end).unwrap_or_default())
        })
    }

    /// How many rows have a value of a column.
    pub fn with_value(&self, column: usize) -> usize {
        self.columns.get(column).map_or(0, |column| column.rows)
    }

    /// The distinct values of a column.
    pub fn texts(&self, column: usize) -> Option<&TextList> {
        self.columns.get(column).map(|column| column.texts.list())
    }

    /// Why a row cannot be used, whatever its identifiers are.
    pub fn fault(&self, rn: i64) -> Option<&str> {
        self.faults.get(&rn).map(String::as_str)
    }

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        let texts: usize = self.columns.iter().map(|column| column.texts.bytes()).sum();
        texts + self.rows.len() * size_of::<ShownRow>() + self.cells.len() * size_of::<Cell>()
    }
}
