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
 * Spark's way to read files of JSON, one object per line, with the one thing that its own JSON source keeps to itself:
 * which lines hold more than was taken from them.
 *
 * <p>Lines are cut as Spark's text source cuts them, and parsed by Spark's own parser, with its own options. A line is
 * <em>plain</em> if the columns hold all that it says: it is one object and nothing behind it, text of its encoding,
 * with known fields alone, and each of them fits. Of any other line nothing is taken: it is handed
 * over as it stands, for somebody who looks closer.
 *
 * <p>The schema to ask for is that of {@link Records}; the options are those of {@link Order}, and those of
 * {@code from_json}. Splits files, and reads compressed ones, as all of Spark's sources of text do. The interface is
 * {@code org.apache.spark.sql.execution.datasources.FileFormat} of Spark 4.1.
 */
public final class PlainLines extends TextBasedFileFormat implements Serializable {
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
        Broadcast<SerializableConfiguration> sent =
                spark.sparkContext()
                        .broadcast(
                                new SerializableConfiguration(hadoop),
                                ClassTag$.MODULE$.apply(SerializableConfiguration.class));
        return new Opening(Order.of(data, required, options, json), sent);
    }

    @Override
    public String toString() {
        return "PlainLines";
    }

    // Spark takes two scans for the same one only if their formats are equal.
    @Override
    public boolean equals(Object other) {
        return other instanceof PlainLines;
    }

    @Override
    public int hashCode() {
        return PlainLines.class.hashCode();
    }
}
