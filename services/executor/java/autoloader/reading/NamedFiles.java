package autoloader.reading;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.Expression;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.execution.datasources.FileIndex;
import org.apache.spark.sql.execution.datasources.FileStatusWithMetadata;
import org.apache.spark.sql.execution.datasources.PartitionDirectory;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.List$;
import scala.collection.immutable.Map$;
import scala.collection.immutable.Seq;
import scala.jdk.javaapi.CollectionConverters;

/** What Spark plans with: the files as they are named, of which nothing is asked. */
final class NamedFiles implements FileIndex {
    /** Only local stores, and HDFS, have blocks that could be told. */
    private static final long BLOCK_BYTES = 64L * 1024 * 1024;

    private final Named named;

    NamedFiles(Named named) {
        this.named = named;
    }

    @Override
    public Seq<PartitionDirectory> listFiles(Seq<Expression> byPartition, Seq<Expression> byData) {
        List<FileStatusWithMetadata> files = new ArrayList<>();
        for (int at = 0; at < named.paths.length; at++) {
            if (named.sizes[at] > 0) {
                var status = new FileStatus(named.sizes[at], false, 1, BLOCK_BYTES, 0, new Path(named.paths[at]));
                files.add(new FileStatusWithMetadata(status, Map$.MODULE$.empty()));
            }
        }
        InternalRow none = new GenericInternalRow(0);
        return toSeq(List.of(new PartitionDirectory(none, toSeq(files))));
    }

    @Override
    public Seq<Path> rootPaths() {
        return toSeq(Arrays.stream(named.paths).map(Path::new).toList());
    }

    @Override
    public String[] inputFiles() {
        return named.paths.clone();
    }

    @Override
    public void refresh() {}

    @Override
    public long sizeInBytes() {
        return Arrays.stream(named.sizes).sum();
    }

    @Override
    public StructType partitionSchema() {
        return new StructType();
    }

    private static <T> Seq<T> toSeq(List<T> list) {
        return List$.MODULE$.from(CollectionConverters.asScala(list));
    }
}
