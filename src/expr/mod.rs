//! Expressions on a workspace: the catalogue they are checked against and the executors.
//!
//! Every executor starts from [`Question`]: the parsed and checked expression with the moment it is asked about. *set* answers it for everybody from
//! columns of bits; *point* answers it for one profile from its rows; *sql* prints the same question as plain SQL, which is what the others are
//! tested against.

pub mod catalog;
mod columns;
pub mod definition;
pub mod dependencies;
mod edge;
pub mod explain;
mod group;
pub mod measure;
mod parallel;
pub mod people;
pub mod point;
pub mod question;
pub mod set;
pub mod spread;
mod texts;
pub mod why;
