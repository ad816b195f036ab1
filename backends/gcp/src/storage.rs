//! Objects in Cloud Storage, or in a service that speaks its language.
