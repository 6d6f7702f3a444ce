//! What the publisher says, followed by clients that have nothing but its messages.

mod books;
mod follower;
mod rates;
mod requests;
mod resume;
mod twins;
