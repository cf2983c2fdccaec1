package autoloader.reading;

import java.io.Serializable;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.mapreduce.MRJobConfig;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.HadoopFileLinesReader;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.util.SerializableConfiguration;
import org.apache.spark.util.TaskCompletionListener;
import scala.Option;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction1;

/** Opens files, or parts of them, one after the other, in the task that reads them. */
final class Opening extends AbstractFunction1<PartitionedFile, Iterator<InternalRow>> implements Serializable {
    private static final long serialVersionUID = 1L;

    /**
     * A store that is told how long a file is need not be asked (hadoop-common, "openFile", and S3A): one request for
     * each file less. If the file is another one by now, that is noticed as ever, by whoever looks at its version after
     * the read.
     */
    private static final String LENGTH = MRJobConfig.INPUT_FILE_OPTION_PREFIX + Options.OpenFileOptions.FS_OPTION_OPENFILE_LENGTH;

    private final Order order;
    private final Broadcast<SerializableConfiguration> hadoop;
    private transient Configuration conf;
    private transient PlainLine plain;
    private transient OddLine odd;

    Opening(Order order, Broadcast<SerializableConfiguration> hadoop) {
        this.order = order;
        this.hadoop = hadoop;
    }

    @Override
    public Iterator<InternalRow> apply(PartitionedFile part) {
        Integer position = order.files.positionOf(part.toPath());
        if (conf == null) {
            conf = new Configuration(hadoop.value().value());
            plain = new PlainLine(order);
            odd = new OddLine(order.record, order.json, order.duplicates);
        }
        conf.setLong(LENGTH, part.fileSize());
        var lines = new HadoopFileLinesReader(part, Option.empty(), conf);
        TaskContext task = TaskContext.get();
        if (task != null) {
            task.addTaskCompletionListener((TaskCompletionListener) ended -> lines.close());
        }
        return new Records(order, plain, odd, position, lines);
    }
}
