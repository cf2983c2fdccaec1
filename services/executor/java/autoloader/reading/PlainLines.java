package autoloader.reading;

import org.apache.spark.sql.SQLContext;
import org.apache.spark.sql.execution.datasources.HadoopFsRelation;
import org.apache.spark.sql.sources.BaseRelation;
import org.apache.spark.sql.sources.SchemaRelationProvider;
import org.apache.spark.sql.types.StructType;
import scala.Option;
import scala.collection.immutable.Map;

/**
 * Spark's way to read files of JSON, one object per line, with the one thing that its own JSON source keeps to itself:
 * which lines hold more than was taken from them.
 *
 * <p>Lines are cut as Spark's text source cuts them. Their values are taken as Spark's parser takes them, with its
 * options: those of the plainest types by {@link Column}, all others by Spark's own converters. A line is
 * <em>plain</em> if the columns hold all that it says: it is one object and nothing behind it, text of its encoding,
 * with known fields alone, and each of them fits. Any other line is handed over as it stands, with what Spark's own
 * functions say of it ({@link OddLine}), for somebody who looks closer.
 *
 * <p>Exactly the files that are named are read, and nobody is asked whether they are there, or how long they are: that
 * is known. The schema to ask for is that of {@link Records}; the options are those of {@link Order}, and those of
 * {@code from_json}.
 */
public final class PlainLines implements SchemaRelationProvider {
    @Override
    public BaseRelation createRelation(SQLContext context, Map<String, String> options, StructType schema) {
        var files = new NamedFiles(Named.of(options));
        return new HadoopFsRelation(
                files,
                files.partitionSchema(),
                schema.asNullable(),
                Option.empty(),
                new PlainLinesFormat(),
                options,
                context.sparkSession());
    }
}
