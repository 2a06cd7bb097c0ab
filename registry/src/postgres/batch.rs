//! One statement that changes many tables: a list of `with` parts, each fed from `unnest` of bound arrays.
//!
//! All parts see the tables as they were before the statement, so parts of one batch must not build
//! on each other. Text depends on which tables take part only, so a session prepares few of them.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, PgConnection, Postgres, Type};

/// A statement in the making.
#[derive(Default)]
pub(super) struct Batch {
    text: String,
    parts: usize,
    bound: usize,
    arguments: PgArguments,
}

impl Batch {
    /// Starts a part; what follows until the next one is its text.
    pub(super) fn part(&mut self) -> &mut Self {
        self.text.push_str(if self.parts == 0 { "with " } else { "), " });
        self.parts += 1;
        self.text.push_str(&format!("p{} as (", self.parts));
        self
    }

    /// Text of ours.
    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// An array as the next placeholder.
    pub(super) fn bind<'q, T>(&mut self, values: T) -> Result<&mut Self, sqlx::Error>
    where
        T: Encode<'q, Postgres> + Type<Postgres>,
    {
        if self.text.ends_with(|last: char| last.is_ascii_digit()) {
            self.text.push_str(", ");
        }
        self.arguments.add(values).map_err(sqlx::Error::Encode)?;
        self.bound += 1;
        self.text.push_str(&format!("${}", self.bound));
        Ok(self)
    }

    /// Runs all parts, if there is one.
    pub(super) async fn run(mut self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.parts == 0 {
            return Ok(());
        }
        self.text.push_str(") select 1");
        sqlx::query_with(AssertSqlSafe(self.text), self.arguments).execute(conn).await?;
        Ok(())
    }
}
