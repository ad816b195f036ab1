//! Names of things in one account, as policies and calls want them.

/// The account that is worked in, and the part of AWS that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// `aws`, or `aws-cn` and `aws-us-gov`, where everything is named otherwise.
    pub partition: String,
}

impl Account {
    /// The account of a caller, from its identity's ARN: `arn:aws:iam::123456789012:user/ada`.
    pub fn of_caller(arn: &str) -> Option<Self> {
        let mut parts = arn.split(':');
        let (Some("arn"), Some(partition), Some(_), Some(_), Some(id)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        (!partition.is_empty() && id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()))
            .then(|| Self { id: id.to_owned(), partition: partition.to_owned() })
    }

    pub(crate) fn bucket(&self, bucket: &str) -> String {
        format!("arn:{}:s3:::{bucket}", self.partition)
    }

    pub(crate) fn role(&self, role: &str) -> String {
        format!("arn:{}:iam::{}:role/{role}", self.partition, self.id)
    }

    pub(crate) fn function(&self, region: &str, function: &str) -> String {
        format!("arn:{}:lambda:{region}:{}:function:{function}", self.partition, self.id)
    }

    pub(crate) fn log_group(&self, region: &str, group: &str) -> String {
        format!("arn:{}:logs:{region}:{}:log-group:{group}", self.partition, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_read_from_any_callers_arn() {
        for (arn, partition) in [
            ("arn:aws:iam::123456789012:root", "aws"),
            ("arn:aws-cn:sts::123456789012:assumed-role/Admin/ada", "aws-cn"),
        ] {
            let account = Account::of_caller(arn).unwrap();
            assert_eq!((account.id.as_str(), account.partition.as_str()), ("123456789012", partition));
        }
        for arn in [
            "",
            "arn",
            "arn:aws:iam::12:root",
            "arn:aws:iam::12345678901x:root",
            "x:aws:iam::123456789012:root",
        ] {
            assert_eq!(Account::of_caller(arn), None, "{arn}");
        }
    }

    #[test]
    fn names_follow_the_partition() {
        let account = Account { id: "123456789012".to_owned(), partition: "aws-us-gov".to_owned() };
        assert_eq!(account.bucket("b"), "arn:aws-us-gov:s3:::b");
        assert_eq!(account.role("r"), "arn:aws-us-gov:iam::123456789012:role/r");
        assert_eq!(
            account.function("us-gov-west-1", "f"),
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f"
        );
        assert_eq!(
            account.log_group("us-gov-west-1", "/aws/lambda/f"),
            "arn:aws-us-gov:logs:us-gov-west-1:123456789012:log-group:/aws/lambda/f"
        );
    }
}
