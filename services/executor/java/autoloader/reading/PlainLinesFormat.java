package autoloader.reading;

import java.io.Serializable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.mapreduce.Job;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.execution.datasources.OutputWriterFactory;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.execution.datasources.TextBasedFileFormat;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import scala.Function1;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.immutable.Map;
import scala.collection.immutable.Seq;
import scala.reflect.ClassTag$;

/**
 * How Spark reads the files of {@link PlainLines}. Splits them, and reads compressed ones, as all of Spark's sources of
 * text do. The interface is {@code org.apache.spark.sql.execution.datasources.FileFormat} of Spark 4.1.
 */
final class PlainLinesFormat extends TextBasedFileFormat implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public Option<StructType> inferSchema(SparkSession session, Map<String, String> options, Seq<FileStatus> files) {
        return Option.empty();
    }

    @Override
    public OutputWriterFactory prepareWrite(
            SparkSession session, Job job, Map<String, String> options, StructType schema) {
        throw new UnsupportedOperationException("plain lines are read, not written");
    }

    @Override
    public Function1<PartitionedFile, Iterator<InternalRow>> buildReader(
            SparkSession session,
            StructType data,
            StructType partitions,
            StructType required,
            Seq<Filter> filters,
            Map<String, String> options,
            Configuration hadoop) {
        var spark = (org.apache.spark.sql.classic.SparkSession) session;
        var conf = spark.sessionState().conf();
        var json = new JSONOptions(options, conf.sessionLocalTimeZone(), conf.columnNameOfCorruptRecord());
        boolean duplicates = Boolean.parseBoolean(conf.getConfString("spark.sql.variant.allowDuplicateKeys", "false"));
        Broadcast<SerializableConfiguration> sent =
                spark.sparkContext()
                        .broadcast(
                                new SerializableConfiguration(hadoop),
                                ClassTag$.MODULE$.apply(SerializableConfiguration.class));
        return new Opening(new Order(data, required, options, json, duplicates), sent);
    }

    @Override
    public String toString() {
        return "PlainLines";
    }

    // Spark takes two scans for the same one only if their formats are equal.
    @Override
    public boolean equals(Object other) {
        return other instanceof PlainLinesFormat;
    }

    @Override
    public int hashCode() {
        return PlainLinesFormat.class.hashCode();
    }
}
