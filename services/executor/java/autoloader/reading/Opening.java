package autoloader.reading;

import java.io.Serializable;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.TaskContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.HadoopFileLinesReader;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.util.SerializableConfiguration;
import org.apache.spark.util.TaskCompletionListener;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.Iterator$;
import scala.runtime.AbstractFunction1;

/** Opens a file, or a part of one, in the task that reads it. */
final class Opening extends AbstractFunction1<PartitionedFile, Iterator<InternalRow>> implements Serializable {
    private static final long serialVersionUID = 1L;

    private final Order order;
    private final Broadcast<SerializableConfiguration> hadoop;

    Opening(Order order, Broadcast<SerializableConfiguration> hadoop) {
        this.order = order;
        this.hadoop = hadoop;
    }

    @Override
    public Iterator<InternalRow> apply(PartitionedFile part) {
        Integer position = order.positionOf(part.toPath().toString());
        if (position == null && order.skipsStrangers) {
            return Iterator$.MODULE$.empty();
        }
        Configuration conf = hadoop.value().value();
        var lines = new HadoopFileLinesReader(part, Option.empty(), conf);
        TaskContext task = TaskContext.get();
        if (task != null) {
            task.addTaskCompletionListener((TaskCompletionListener) ended -> lines.close());
        }
        return new Records(order, position, lines);
    }
}
