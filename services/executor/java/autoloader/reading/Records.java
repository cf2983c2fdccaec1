package autoloader.reading;

import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.unsafe.types.UTF8String;
import scala.collection.AbstractIterator;
import scala.collection.Iterator;

/**
 * The lines of a file, or of a part of one, as rows of three columns:
 *
 * <table>
 * <tr><td>{@code row}</td><td>a plain line's object; null of any other</td></tr>
 * <tr><td>{@code raw}</td><td>a line that is not plain, as it stands; null of any other</td></tr>
 * <tr><td>{@code file}</td><td>the file's position in the order; null: a stranger</td></tr>
 * </table>
 *
 * <p>The same object is returned each time, as Spark's own sources do it.
 */
final class Records extends AbstractIterator<InternalRow> {
    static final String RECORD = "row";
    static final String RAW = "raw";
    static final String FILE = "file";

    private final Order order;
    private final Iterator<Text> lines;
    private final PlainLine plain;
    private final GenericInternalRow current;

    Records(Order order, PlainLine plain, Integer position, Iterator<Text> lines) {
        this.order = order;
        this.plain = plain;
        this.lines = lines;
        this.current = new GenericInternalRow(order.width);
        put(order.fileAt, position);
    }

    @Override
    public boolean hasNext() {
        return lines.hasNext();
    }

    @Override
    public InternalRow next() {
        Text line = lines.next();
        InternalRow row = plain.parsed(line);
        put(order.recordAt, row);
        // The next line takes the place of this one's bytes.
        put(order.rawAt, row == null ? UTF8String.fromBytes(line.copyBytes()) : null);
        return current;
    }

    private void put(int at, Object value) {
        if (at >= 0) {
            current.update(at, value);
        }
    }
}
