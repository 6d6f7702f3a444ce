//! A seeded synthetic market.
