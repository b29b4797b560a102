//! Expressions on a workspace: the catalogue they are checked against and the executors.
//!
//! Every executor starts from [`Question`]: the parsed and checked expression with the moment it is asked about. *set* answers it for everybody from
//! columns of bits; *sql* prints the same question as plain SQL, which is what the others are tested against.

pub mod catalog;
mod columns;
pub mod dependants;
pub mod measure;
mod parallel;
pub mod people;
pub mod question;
pub mod set;
pub mod spread;
