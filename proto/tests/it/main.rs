//! The wire protocol from the outside: committed frames, a second implementation, properties, and the page
//! that describes it.

mod cases;
mod docs;
mod judge;
mod meaning;
mod owned;
mod properties;
mod strategies;
mod vectors;
mod wincode;
