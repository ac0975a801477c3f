"""The least that a MinIO user needs for an instance to work, as an S3 policy. Pure."""

from __future__ import annotations

from typing import Any

from app.config.models import Node


def policy(node: Node, make_bucket: bool = False) -> dict[str, Any]:
    """
    :param make_bucket: with the right to make the bucket; without it, it must be there.
    """
    bucket, objects = f"arn:aws:s3:::{node.bucket}", f"arn:aws:s3:::{node.bucket}/openim/*"
    # The second for expire and gc, which leave alone what an upload may still write.
    on_bucket = ["s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
    if make_bucket:
        on_bucket.append("s3:CreateBucket")
    if node.public_read:
        on_bucket += ["s3:GetBucketPolicy", "s3:PutBucketPolicy"]
    on_objects = ["GetObject", "PutObject", "DeleteObject", "ListMultipartUploadParts", "AbortMultipartUpload"]
    allowed = (
        (on_bucket, bucket),
        # HEAD of the bucket, and "not there" instead of "denied" for an object that is not.
        (["s3:ListBucket"], bucket),
        ([f"s3:{action}" for action in on_objects], objects),
    )
    statements = [{"Effect": "Allow", "Action": actions, "Resource": [resource]} for actions, resource in allowed]
    return {"Version": "2012-10-17", "Statement": statements}
