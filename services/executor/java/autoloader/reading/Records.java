package autoloader.reading;

import org.apache.hadoop.io.Text;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.unsafe.types.UTF8String;
import scala.collection.AbstractIterator;
import scala.collection.Iterator;

/**
 * The lines of a file, or of a part of one, as rows of four columns:
 *
 * <table>
 * <tr><td>{@code row}</td><td>the line's object; of one that is not plain, what {@code from_json} makes of it</td></tr>
 * <tr><td>{@code raw}</td><td>a line that is not plain, as it stands; null of any other</td></tr>
 * <tr><td>{@code keys}</td><td>the names in a line that is not plain; null of any other, and of one without an
 * object</td></tr>
 * <tr><td>{@code file}</td><td>the file's position in the order; null: a stranger</td></tr>
 * </table>
 *
 * <p>The same object is returned each time, as Spark's own sources do it.
 */
final class Records extends AbstractIterator<InternalRow> {
    static final String RECORD = "row";
    static final String RAW = "raw";
    static final String NAMES = "keys";
    static final String FILE = "file";

    private final Order order;
    private final Iterator<Text> lines;
    private final PlainLine plain;
    private final OddLine odd;
    private final GenericInternalRow current;

    Records(Order order, PlainLine plain, OddLine odd, Integer position, Iterator<Text> lines) {
        this.order = order;
        this.plain = plain;
        this.odd = odd;
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
        if (row == null) {
            // The next line takes the place of this one's bytes.
            UTF8String raw = UTF8String.fromBytes(line.copyBytes());
            put(order.recordAt, order.recordAt < 0 ? null : odd.record(raw));
            put(order.rawAt, raw);
            put(order.namesAt, order.namesAt < 0 ? null : odd.names(raw));
        } else {
            put(order.recordAt, row);
            put(order.rawAt, null);
            put(order.namesAt, null);
        }
        return current;
    }

    private void put(int at, Object value) {
        if (at >= 0) {
            current.update(at, value);
        }
    }
}
