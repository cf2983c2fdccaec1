# Spark with the jars of deploy/versions.toml, fetched by the Ivy that Spark carries and refused if a checksum differs.
# Build with deploy/ as the context.
FROM apache/spark:4.1.1

USER root
COPY checksums/spark.sha256 /tmp/spark.sha256
RUN set -eu; \
    for jar in \
        org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0 \
        org.apache.iceberg:iceberg-aws-bundle:1.12.0 \
        org.apache.hadoop:hadoop-aws:3.4.2 \
        org.apache.spark:spark-avro_2.13:4.1.1 \
        software.amazon.awssdk:apache-client:2.54.17 \
        software.amazon.awssdk:s3-transfer-manager:2.54.17 \
        org.postgresql:postgresql:42.7.8 \
    ; do \
        java -jar /opt/spark/jars/ivy-*.jar -cache /tmp/ivy -notransitive -confs default \
            -dependency $(echo "$jar" | tr : ' ') -retrieve '/opt/spark/jars/[artifact]-[revision].[ext]'; \
    done; \
    cd /opt/spark/jars; \
    sha256sum --check /tmp/spark.sha256; \
    chmod 644 ./*.jar; \
    rm -rf /tmp/ivy /tmp/spark.sha256
USER spark
