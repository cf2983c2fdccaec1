"""What makes a bucket of Amazon's tell Autoloader of its objects, through a queue: as Terraform, or as a script. Pure.

Both do the same: a queue that keeps what it is told as long as it can; a policy that lets this bucket of this account
write to it, and nobody else; the bucket's configuration; and what the scanner's role has to be allowed.
"""

import json
import re
import shlex
from dataclasses import dataclass
from urllib.parse import quote_plus

from client.notifications.place import CREATED, Place

RETENTION_S = 14 * 24 * 3600  # the most that SQS allows: so long may Autoloader be away
WAIT_S = 20
SCANNER_MAY = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")


@dataclass(frozen=True, slots=True)
class AwsPlan:
    """``queue`` is its name; it has to be in the bucket's ``region``."""

    place: Place
    queue: str
    region: str


def terraform(plan: AwsPlan) -> str:
    """Resources for a configuration that has the ``aws`` provider already."""
    name = re.sub(r"[^a-z0-9_]", "_", plan.queue.lower())
    name = name if name[0].isalpha() else f"q_{name}"
    filters = "".join(
        f"    {label} = {_hcl(_encoded(value))}\n"
        for label, value in (("filter_prefix", plan.place.prefix), ("filter_suffix", plan.place.suffix))
        if value
    )
    return f"""\
# Bucket {plan.place.bucket} tells Autoloader of new objects, through a queue in its region.

data "aws_caller_identity" "{name}" {{}}
data "aws_partition" "{name}" {{}}

resource "aws_sqs_queue" "{name}" {{
  name                      = {_hcl(plan.queue)}
  message_retention_seconds = {RETENTION_S}
  receive_wait_time_seconds = {WAIT_S}
}}

data "aws_iam_policy_document" "{name}_send" {{
  statement {{
    sid       = "BucketMaySend"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.{name}.arn]
    principals {{
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }}
    condition {{
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = ["arn:${{data.aws_partition.{name}.partition}}:s3:::{plan.place.bucket}"]
    }}
    condition {{
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.{name}.account_id]
    }}
  }}
}}

resource "aws_sqs_queue_policy" "{name}" {{
  queue_url = aws_sqs_queue.{name}.id
  policy    = data.aws_iam_policy_document.{name}_send.json
}}

# A bucket has one such resource, which replaces all that is configured there: if it has one, put the queue block there.
resource "aws_s3_bucket_notification" "{name}" {{
  bucket = {_hcl(plan.place.bucket)}
  queue {{
    id            = {_hcl(plan.place.entry_id)}
    queue_arn     = aws_sqs_queue.{name}.arn
    events        = [{_hcl(CREATED)}]
{filters}  }}
  depends_on = [aws_sqs_queue_policy.{name}]
}}

# For the role of the scanner.
data "aws_iam_policy_document" "{name}_receive" {{
  statement {{
    actions   = [{", ".join(map(_hcl, SCANNER_MAY))}]
    resources = [aws_sqs_queue.{name}.arn]
  }}
}}

output "{name}_queue_url" {{
  description = "For AUTOLOADER_SQS_QUEUES of the scanner."
  value       = aws_sqs_queue.{name}.url
}}

output "{name}_scanner_policy" {{
  description = "What the scanner's role has to be allowed."
  value       = data.aws_iam_policy_document.{name}_receive.json
}}
"""


def script(plan: AwsPlan) -> str:
    """For bash, with the AWS CLI and jq. It may be run again; what others configured at the bucket stays."""
    rules = [
        {"Name": name, "Value": _encoded(value)}
        for name, value in (("prefix", plan.place.prefix), ("suffix", plan.place.suffix))
        if value
    ]
    entry = {"Id": plan.place.entry_id, "Events": [CREATED], "Filter": {"Key": {"FilterRules": rules}}}
    if not rules:
        del entry["Filter"]
    return f"""\
#!/usr/bin/env bash
# Bucket {plan.place.bucket} tells Autoloader of new objects, through a queue. Needs the AWS CLI and jq.
set -euo pipefail
REGION={shlex.quote(plan.region)}
export AWS_REGION="$REGION" AWS_DEFAULT_REGION="$REGION" AWS_PAGER=""
BUCKET={shlex.quote(plan.place.bucket)}
QUEUE={shlex.quote(plan.queue)}
ENTRY={shlex.quote(json.dumps(entry))}

CALLER=$(aws sts get-caller-identity --query Arn --output text) # arn:aws:iam::123456789012:user/somebody
IFS=: read -r _ PARTITION _ _ ACCOUNT _ <<<"$CALLER"

# The queue, and who may write to it: this bucket of this account.
QUEUE_URL=$(aws sqs create-queue --queue-name "$QUEUE" --query QueueUrl --output text)
QUEUE_ARN="arn:$PARTITION:sqs:$REGION:$ACCOUNT:$QUEUE"
POLICY=$(jq -cn --arg queue "$QUEUE_ARN" --arg bucket "arn:$PARTITION:s3:::$BUCKET" --arg account "$ACCOUNT" '{{
  Version: "2012-10-17",
  Statement: [{{
    Sid: "BucketMaySend", Effect: "Allow", Principal: {{Service: "s3.amazonaws.com"}},
    Action: "sqs:SendMessage", Resource: $queue,
    Condition: {{ArnEquals: {{"aws:SourceArn": $bucket}}, StringEquals: {{"aws:SourceAccount": $account}}}}
  }}]
}}')
aws sqs set-queue-attributes --queue-url "$QUEUE_URL" --attributes "$(jq -cn --arg policy "$POLICY" '{{
  Policy: $policy, MessageRetentionPeriod: "{RETENTION_S}", ReceiveMessageWaitTimeSeconds: "{WAIT_S}"
}}')"

# The bucket: writing replaces everything that is configured there, so our entry is added to what there is.
CURRENT=$(aws s3api get-bucket-notification-configuration --bucket "$BUCKET" --output json)
MERGED=$(jq -c --arg queue "$QUEUE_ARN" --argjson entry "$ENTRY" '
  .QueueConfigurations = [.QueueConfigurations[]? | select(.Id != $entry.Id)] + [$entry + {{QueueArn: $queue}}]
' <<<"${{CURRENT:-{{\\}}}}")
aws s3api put-bucket-notification-configuration --bucket "$BUCKET" --notification-configuration "$MERGED"

echo "For the scanner: AUTOLOADER_SQS_QUEUES='[\\"$QUEUE_URL\\"]'"
echo "Its role needs this policy:"
jq -n --arg queue "$QUEUE_ARN" '{{
  Version: "2012-10-17",
  Statement: [{{Effect: "Allow", Action: {json.dumps(list(SCANNER_MAY))}, Resource: $queue}}]
}}'
"""


def _encoded(value: str) -> str:
    """Amazon wants special characters of a filter as in the query of a web address."""
    return quote_plus(value, safe="/")


def _hcl(text: str) -> str:
    """A string of Terraform's: that of JSON, in which ``${`` and ``%{`` begin nothing."""
    return json.dumps(text, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
