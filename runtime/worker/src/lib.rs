//! The program that is deployed, `rustwren-runtime`: the supervisor of function processes behind the front end of each
//! provider. Which front end it is shows the environment that it is started in.

mod backends;
#[cfg(feature = "lambda")]
pub mod lambda;
